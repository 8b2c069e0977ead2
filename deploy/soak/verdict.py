"""What a run did and whether that is enough to mean anything: a run in which nothing happened shows nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy.soak.books import Books
from deploy.soak.consent import people_needed, policies_of, sent_refunds
from deploy.soak.difference import Difference

# At least so many in a minute of load, rounded down: about a third of what was seen on two processors with much else
# to do.
PER_MINUTE: Mapping[str, float] = {
    "trades paid": 15,
    "refunds that succeeded": 15,
    "refunds sent without a person": 10,
    "refunds sent with one approval": 3,
    "refunds sent with two approvals": 3,
    "notifications received": 40,
    "faults": 5,
    "kills": 1.5,
}
_APPROVALS = ("without a person", "with one approval", "with two approvals")
SHOWN = 10  # differences and troubles in the last lines; the rest is in the bundle


@dataclass(frozen=True)
class Verdict:
    """`lines` sum up; `wrong` are all differences, with what was too little and what went wrong in the run itself."""

    lines: tuple[str, ...]
    wrong: tuple[Difference, ...]

    @property
    def status(self) -> int:
        return 1 if self.wrong else 0


def judge(
    found: Sequence[Difference], books: Books, counts: Counter[str], troubles: Sequence[str], *, minutes: float
) -> Verdict:
    """`counts` and `troubles` of the run's record. What was found comes first, before what may be its consequence."""
    done = achieved(books, counts)
    unexpected = [Difference("trouble in the run", text) for text in dict.fromkeys(troubles)]
    wrong = (*found, *unexpected, *too_little(done, minutes))
    return Verdict((*_summary(books, counts, done), _troubles(troubles)), wrong)


def achieved(books: Books, counts: Counter[str]) -> dict[str, int]:
    """How much of everything in `PER_MINUTE` really happened."""
    policies = policies_of(books)
    sent = Counter(people_needed(policies, refund) for refund in sent_refunds(books))
    return {
        "trades paid": sum(row["state"] == "paid" for row in books.trades),
        "refunds that succeeded": sum(r["state"] == "succeeded" and r["source"] != "external" for r in books.refunds),
        **{f"refunds sent {words}": sent[people] for people, words in enumerate(_APPROVALS)},
        "notifications received": len(books.receipts),
        "faults": counts["fault"],
        "kills": sum(kinds(counts, "kill").values()),
    }


def too_little(done: Mapping[str, int], minutes: float) -> list[Difference]:
    """What happened too seldom for so many minutes of load."""
    return [
        Difference("too little happened", f"{done[name]} {name}, at least {int(each * minutes)} are wanted")
        for name, each in PER_MINUTE.items()
        if done[name] < int(each * minutes)
    ]


def kinds(counts: Counter[str], word: str) -> dict[str, int]:
    """`kill`, `missed`: how often each kind was."""
    return {name.removeprefix(f"{word} "): n for name, n in sorted(counts.items()) if name.startswith(f"{word} ")}


def _summary(books: Books, counts: Counter[str], done: Mapping[str, int]) -> list[str]:
    sent = ", ".join(f"{done[f'refunds sent {words}']} {words}" for words in _APPROVALS)
    return [
        f"{counts['act']} acts, {len(books.answers)} answers, {len(books.receipts)} notifications received,"
        f" {counts['fault']} faults",
        f"{len(books.trades)} trades, {done['trades paid']} paid, {len(books.attempts)} attempts,"
        f" {len(books.abnormal)} abnormal, {len(books.refunds)} refunds, {done['refunds that succeeded']} given back,"
        f" {len(books.events)} events",
        f"refunds sent: {sent}; {counts['decision']} decisions, {counts['desk asked']} asked for by staff",
        f"{len(books.events_read)} events read by apps, {len(books.bills)} bills compared",
        f"killed: {_told(kinds(counts, 'kill'))}; missed: {_told(kinds(counts, 'missed'))}",
        f"ended by themselves: {counts['ended by itself']}; calls without an answer: {counts['no answer']}",
    ]


def _troubles(troubles: Sequence[str]) -> str:
    seen = Counter(troubles)
    return f"trouble: {'; '.join(f'{n} x {text}' for text, n in seen.most_common(SHOWN)) or 'none'}"


def _told(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in found.items()) or "nothing"
