"""What a run does, in order: a function of its seed and nothing else.

Every item has a number; a kill or a fault happens when its number comes up, however fast the run gets there. A
longer run with the same seed does the same and more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

# Ways to pay that need nothing of the payer's device beyond what `pay` says; by the merchant's position.
METHODS: tuple[tuple[str, ...], ...] = (
    ("alipay_qr", "alipay_page", "wechat_native", "unionpay_pc", "mpgs_checkout", "bank_pc", "unionpay_qr"),
    ("alipay_qr", "alipay_wap", "wechat_native"),
)
# Who may pay whom: app and merchant by position.
PAIRS = ((0, 0), (0, 0), (0, 1), (1, 1))
CHANNELS = ("alipay", "wechat", "unionpay", "mpgs", "bank")
FAULTS = ("timeout", "reset", "http500", "bad_signature", "no_signature", "garbage", "slow", "drip", "lost_reply")
OPERATIONS = ("pay", "query", "close", "refund", "query_refund")
# How often each is dealt, of all the blows.
BLOWS = (
    ("web", 4), ("web_worker", 4), ("worker", 6), ("beat", 2), ("redis", 3), ("redis_flush", 3), ("postgres", 4),
    ("sandbox", 3),
)  # fmt: skip
NOTICES = ("normal",) * 6 + ("none", "none", "twice", "wrong_amount", "forged")
FORGERIES = ("forged", "unsigned", "wrong_amount", "other_merchant", "other_order")


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that an app, a payer or a stranger does about an order."""

    what: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """`kind`: `order` (with its acts), `fault` (of a channel), `blow` (something is killed)."""

    number: int
    kind: str
    values: Mapping[str, Any]
    acts: tuple[Act, ...] = ()

    def __str__(self) -> str:
        acts = "".join(f"\n      {act.what} {dict(act.values)}" for act in self.acts)
        return f"{self.number:5}  {self.kind} {dict(self.values)}{acts}"


def plan(seed: int) -> Iterator[Item]:
    """Without end: whoever follows it stops when time is over."""
    random = Random(f"soak:{seed}")
    until_blow, until_fault, number = random.randint(6, 14), random.randint(2, 5), 0
    while True:
        number += 1
        until_blow, until_fault = until_blow - 1, until_fault - 1
        if until_blow <= 0:
            until_blow = random.randint(8, 22)
            yield Item(number, "blow", _blow(random))
        elif until_fault <= 0:
            until_fault = random.randint(2, 6)
            yield Item(number, "fault", _fault(random))
        else:
            yield _order(number, random)


def _blow(random: Random) -> dict[str, Any]:
    names, weights = zip(*BLOWS, strict=True)
    what = random.choices(names, weights)[0]
    return {"what": what, "which": random.randrange(2), "seconds": round(random.uniform(0.0, 3.0), 1)}


def _fault(random: Random) -> dict[str, Any]:
    fault = random.choice(FAULTS)
    return {
        "channel": random.choice(CHANNELS), "operation": random.choice(OPERATIONS), "fault": fault,
        "times": random.randint(1, 3), "seconds": round(random.uniform(0.5, 4.0), 1),
    }  # fmt: skip


def _order(number: int, random: Random) -> Item:
    app, merchant = random.choice(PAIRS)
    amount = random.choice((100, 999, 1000, 2500, 7300))
    methods = METHODS[merchant]
    acts = [Act("gopay", {"method": random.choice(methods), "amount": amount})]
    _before_paying(acts, random, methods, amount)
    shape = random.random()
    if shape < 0.80:
        _paying(acts, random, amount)
        _giving_back(acts, random, amount)
    elif shape < 0.92:
        acts.append(Act("close", {}))
        if random.random() < 0.3:
            _paying(acts, random, amount)
    acts.append(Act("query", {}))
    return Item(number, "order", {"app": app, "merchant": merchant}, tuple(acts))


def _before_paying(acts: list[Act], random: Random, methods: tuple[str, ...], amount: int) -> None:
    if random.random() < 0.2:
        acts.append(Act("gopay", dict(acts[0].values)))
    if random.random() < 0.25:
        other = amount if random.random() < 0.7 else amount + 100
        acts.append(Act("gopay", {"method": random.choice(methods), "amount": other}))
    if random.random() < 0.12:
        acts.append(Act("forge", {"notify": random.choice(FORGERIES)}))


def _paying(acts: list[Act], random: Random, amount: int) -> None:
    values: dict[str, Any] = {"which": -1, "notify": random.choice(NOTICES)}
    if random.random() < 0.04:
        values["amount"] = amount + 1
    acts.append(Act("pay", values))
    if random.random() < 0.12:
        acts.append(Act("pay", {"which": 0, "notify": random.choice(NOTICES)}))
    if random.random() < 0.1:
        acts.append(Act("gopay", dict(acts[0].values)))
    if random.random() < 0.08:
        acts.append(Act("close", {}))


def _giving_back(acts: list[Act], random: Random, amount: int) -> None:
    if random.random() < 0.3:
        return
    acts.append(Act("wait_paid", {}))
    for _ in range(random.randint(1, 4)):
        wanted = random.choice((amount, amount // 2, amount // 3, 10, amount + 1))
        outcome = random.choices((None, "fail", "pending"), (12, 2, 2))[0]
        acts.append(Act("refund", {"amount": max(wanted, 1), "outcome": outcome}))
        if random.random() < 0.25:
            acts.append(Act("refund_again", {}))
        if random.random() < 0.1:
            acts.append(Act("cancel", {}))
        if random.random() < 0.08:
            acts.append(Act("console", {"amount": max(amount // 4, 1)}))
    if random.random() < 0.3:
        acts.append(Act("refund_stray", {}))
    if random.random() < 0.15:
        acts.append(Act("refund_by_staff", {"amount": max(amount // 5, 1)}))
