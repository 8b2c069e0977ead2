"""Who has to agree to a refund: read from the policies, and held against who did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from deploy.soak.books import Books, Row
from deploy.soak.difference import Difference

# Where an app has no policy for a merchant, nothing is automatic.
_STRICT = {"automatic_up_to": 0, "one_approval_up_to": 1_000_000, "abnormal_automatic_up_to": 0}
Policies = Mapping[tuple[str, str, str], Row]


def policies_of(books: Books) -> Policies:
    """By app, merchant and currency ("": every currency without its own)."""
    return {(row["app_id"], row["merchant_no"], row["currency"]): row for row in books.policies}


def people_needed(policies: Policies, refund: Row) -> int:
    """How many people have to approve this refund, at least (a day's ceiling may ask for more)."""
    place = (refund["app_id"], refund["merchant_no"])
    policy = policies.get((*place, refund["currency"])) or policies.get((*place, "")) or _STRICT
    automatic = policy["abnormal_automatic_up_to" if refund["source"] == "policy" else "automatic_up_to"]
    by_people = refund["source"] == "admin" or refund["amount"] != refund["requested_amount"]
    if not by_people and refund["amount"] <= automatic:
        return 0
    return 1 if refund["amount"] <= policy["one_approval_up_to"] else 2


def sent_refunds(books: Books) -> Iterator[Row]:
    """Those of ours that went to a channel."""
    return (row for row in books.refunds if row["sends"] and row["source"] != "external")


def sent_as_decided(books: Books) -> Iterator[Difference]:
    """What was sent has as many approvals as its policy asks for: of different people, over this very amount, in one
    round, and of nobody who asked for it or chose its amount."""
    rule = "approved by enough people"
    policies, approvals = policies_of(books), defaultdict(list)
    for row in books.approvals:
        if row["decision"] == "approve":
            approvals[row["refund_no"]].append(row)
    for refund in sent_refunds(books):
        number, given = refund["refund_no"], approvals[refund["refund_no"]]
        needed, found = people_needed(policies, refund), _most_in_one_round(refund, given)
        if found < needed:
            words = f"refund {number} of {refund['amount']} was sent with {found} approvals instead of {needed}"
            yield Difference(rule, words, (number,))
    for refund in books.refunds:
        asker = refund["requested_by_username"]
        if asker and any(row["approver_username"] == asker for row in approvals[refund["refund_no"]]):
            yield Difference(rule, f"{asker} approved refund {refund['refund_no']}, which they had asked for",
                             (refund["refund_no"],))  # fmt: skip


def _most_in_one_round(refund: Row, given: list[Row]) -> int:
    """A round that came after the sending (what is held, is decided afresh) takes nothing from the one before it."""
    rounds: dict[int, set[str]] = defaultdict(set)
    for row in given:
        own = row["approver_username"] in (refund["requested_by_username"], refund["changed_by_username"])
        if row["amount"] == refund["amount"] and not own:
            rounds[row["round"]].add(row["approver_username"])
    return max(map(len, rounds.values()), default=0)
