"""What happens in one history: a few steps, chosen by its seed, and which of them die where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

AMOUNTS = (300, 700, 1000)
# (name, weight, arguments). A step is done by a process of its own unless `history` does it at once.
_CHOICES: tuple[tuple[str, int, Callable[[Random], tuple[Any, ...]]], ...] = (
    ("gopay", 5, lambda r: (r.choice(("fake_qr", "fake_qr", "fake_page")), r.choice((1000, 1000, 1000, 700)))),
    ("payer_pays", 4, lambda r: (r.randrange(3), r.choice((0, 0, 0, 0, 1)))),
    ("payer_pays_during", 2, lambda r: (r.choice(("query", "close", "close", "pay")), r.randrange(3))),
    ("notify", 6, lambda r: (r.randrange(3), r.choice(("true", "true", "true", "hint", "wrong_amount", "forged")))),
    ("come_back", 1, lambda r: (r.randrange(3),)),
    ("close", 2, lambda r: ()),
    ("ask", 7, lambda r: (r.choice(AMOUNTS), r.random() < 0.25)),
    ("ask_for_stray", 2, lambda r: (r.choice(AMOUNTS),)),
    ("decide", 5, lambda r: (r.choice(("approve", "approve", "hold", "release", "reject")), r.randrange(4),
                             r.randrange(3))),
    ("change_amount", 1, lambda r: (r.randrange(4), r.choice(AMOUNTS))),
    ("cancel", 1, lambda r: (r.randrange(4),)),
    ("again", 2, lambda r: (r.randrange(4), r.random() < 0.3)),
    ("sweep", 12, lambda r: (r.choice(SWEEPS),)),
    ("console", 1, lambda r: (r.randrange(2), r.choice(AMOUNTS))),
    ("tell_refund", 2, lambda r: (r.randrange(4),)),
    ("fault", 8, lambda r: (r.choice(("pay", "query", "query", "close", "refund", "refund", "query_refund")),
                            r.choice(("lost", "lost", "silent", "refused")))),
    ("slow_refunds", 1, lambda r: (r.random() < 0.6,)),
    ("end_refund", 2, lambda r: (r.randrange(4), r.random() < 0.7)),
    ("receiver", 1, lambda r: (r.random() < 0.5,)),
    ("time", 6, lambda r: (r.choice((1, 3, 16, 40, 70, 700)),)),
)  # fmt: skip
SWEEPS = (
    "query", "query", "close", "superseded", "send_refunds", "send_refunds", "query_refunds", "query_refunds",
    "policies", "deliver", "deliver", "sequence", "probe", "book_early", "expire",
)  # fmt: skip
MORTAL = frozenset({
    "gopay", "notify", "come_back", "close", "ask", "ask_for_stray", "decide", "change_amount", "cancel", "again",
    "sweep", "tell_refund",
})  # fmt: skip
_NAMES = [c[0] for c in _CHOICES]
_ARGUMENTS = {name: arguments for name, _weight, arguments in _CHOICES}


@dataclass(frozen=True)
class Step:
    """`dies_at`: at which of its points its process is killed, or loses its connection (`how`)."""

    name: str
    arguments: tuple[Any, ...] = ()
    dies_at: int | None = None
    how: str = ""

    def __str__(self) -> str:
        end = f"  -- {self.how} at its point {self.dies_at}" if self.dies_at else ""
        return f"{self.name}{self.arguments}{end}"


@dataclass(frozen=True)
class Plan:
    """`turns` seeds the scheduler: who goes on when. `eagerness` is how often another one does."""

    seed: str
    turns: str
    eagerness: float
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        lines = "".join(f"\n  {step}" for step in self.steps)
        return f"seed {self.seed}, turns {self.turns}, eagerness {self.eagerness}{lines}"


def make(seed: str) -> Plan:
    """The plan of a seed: a few chapters, in which one thing leads to another, and whatever else comes in between."""
    random = Random(f"history:{seed}")
    steps = [Step("gopay", (random.choice(("fake_qr", "fake_qr", "fake_page")), 1000)), Step("wait")]
    if random.random() < 0.7:
        steps += [Step("payer_pays", (0, 0)), Step("notify", (0, random.choice(("true", "true", "hint"))))]
        steps += [Step("wait")] if random.random() < 0.8 else []
    for _ in range(random.randint(1, 3)):
        steps += random.choice(_CHAPTERS)(random)
    # Each history leaves some things out, so that the others meet more often.
    weights = [c[1] if c[0] == "sweep" or random.random() < 0.6 else 0 for c in _CHOICES]
    for _ in range(random.randint(1, 6)):
        name = random.choices(_NAMES, weights)[0]
        steps.insert(random.randint(1, len(steps)), Step(name, _ARGUMENTS[name](random)))
    return Plan(seed, seed, random.choice((0.0, 0.02, 0.1, 0.3)), tuple(_mortal(step, random) for step in steps))


def _refund(random: Random) -> list[Step]:
    """Asked for, decided, sent, and heard of."""
    steps = [Step("ask", (random.choice(AMOUNTS), False))]
    steps += [Step("decide", ("approve", 0, clerk)) for clerk in random.sample(range(3), random.randint(0, 2))]
    if random.random() < 0.6:
        steps.append(Step("fault", (random.choice(("refund", "refund", "query_refund", "query")),
                                    random.choice(("lost", "silent", "refused")))))  # fmt: skip
    steps += [Step("wait"), Step("sweep", ("send_refunds",))]
    more = ["again", "tell_refund", "ask", "decide", "sweep", "time", "end_refund"]
    steps += [Step(name, _ARGUMENTS[name](random)) for name in random.sample(more, random.randint(0, 3))]
    return [*steps, Step("time", (random.choice((3, 40)),)), Step("sweep", ("query_refunds",))]


def _second_payment(random: Random) -> list[Step]:
    """Another way to pay, while the first one may still be open; sometimes both are paid."""
    steps = [Step("time", (16,)), Step("gopay", (random.choice(("fake_qr", "fake_page")), random.choice((1000, 700))))]
    paid = random.sample((0, 1), random.randint(1, 2))
    steps += [Step("payer_pays", (index, 0)) for index in paid]
    return [*steps, *(Step("notify", (index, "true")) for index in paid)]


def _closing(random: Random) -> list[Step]:
    """By the app or by time, with a channel that is silent or a payer who pays in the last moment."""
    steps = []
    if random.random() < 0.5:
        steps.append(Step("fault", (random.choice(("query", "close")), random.choice(("lost", "silent")))))
    if random.random() < 0.5:
        steps.append(Step("payer_pays_during", (random.choice(("query", "close")), 0)))
    ending = [Step("close")] if random.random() < 0.6 else [Step("time", (1790,)), Step("sweep", ("close",))]
    return [*steps, *ending, Step("sweep", (random.choice(("close", "superseded", "query")),))]


def _telling(random: Random) -> list[Step]:
    """The app is told, and may be deaf."""
    wait = Step("time", (random.choice((3, 70)),))
    return [Step("receiver", (random.random() < 0.5,)), Step("sweep", ("deliver",)), wait,
            Step("sweep", ("deliver",))]  # fmt: skip


def _elsewhere(random: Random) -> list[Step]:
    """Money goes back in the channel's own console, and word of it may come before that of the payment."""
    index = random.randrange(2)
    told = [Step("tell_refund", (random.randrange(2),)), Step("notify", (index, random.choice(("true", "hint"))))]
    if random.random() < 0.3:
        told.reverse()
    back = Step("console", (index, random.choice(AMOUNTS)))
    return [Step("payer_pays", (index, 0)), back, told[0], Step("sweep", ("book_early",)), told[1],
            Step("sweep", (random.choice(("book_early", "query_refunds", "query")),))]  # fmt: skip


def _growing_old(random: Random) -> list[Step]:
    """Approved by too few, or not sent for days; then decided afresh, or not."""
    steps = [Step("ask", (random.choice((700, 1000)), False)), Step("wait"), Step("decide", ("approve", 0, 0)),
             Step("time", (random.choice((250_000, 260_000)),)), Step("sweep", ("expire",))]  # fmt: skip
    steps += [Step("decide", ("approve", 0, clerk)) for clerk in random.sample(range(3), random.randint(1, 2))]
    return [*steps, Step("sweep", ("send_refunds",))]


_CHAPTERS = (
    _refund, _refund, _refund, _refund, _second_payment, _second_payment, _closing, _closing, _telling, _telling,
    _elsewhere, _growing_old,
)  # fmt: skip


def _mortal(step: Step, random: Random) -> Step:
    if step.name not in MORTAL or random.random() > 0.25:
        return step
    # Mostly early points: a short piece of work is over soon.
    at = int(random.triangular(1, 60, 8))
    return replace(step, dies_at=at, how=random.choice(("killed", "killed", "lost")))


def smaller(plan: Plan, fails: Callable[[Plan], bool], *, tries: int = 12) -> Plan:
    """The plan without the steps, deaths and switches that its failure does not need."""
    changed = True
    while changed:
        changed = False
        for candidate in _candidates(plan):
            # Fewer steps mean other turns: several are tried.
            found = next((p for p in _other_turns(candidate, tries) if fails(p)), None)
            if found is not None:
                plan, changed = found, True
                break
    return plan


def _candidates(plan: Plan) -> list[Plan]:
    steps = plan.steps
    without = [replace(plan, steps=steps[:i] + steps[i + 1 :]) for i in reversed(range(len(steps)))]
    alive = [
        replace(plan, steps=(*steps[:i], replace(step, dies_at=None), *steps[i + 1:]))
        for i, step in enumerate(steps) if step.dies_at
    ]  # fmt: skip
    calm = [replace(plan, eagerness=0.0)] if plan.eagerness else []
    return [*calm, *without, *alive]


def _other_turns(plan: Plan, tries: int) -> list[Plan]:
    if plan.eagerness == 0:
        return [plan]
    return [plan, *(replace(plan, turns=f"{plan.turns.partition('/')[0]}/{n}") for n in range(tries))]
