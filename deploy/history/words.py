"""What is paid for and by whom: subjects, amounts, payers, numbers, from tables made once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from paycenter.crypto import encrypt

T = TypeVar("T")
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TRIPLES = [a + b + c for a in _ALPHABET for b in _ALPHABET for c in _ALPHABET]
_ESTATES = ("安居苑", "锦绣园", "观澜府", "翠湖湾", "云栖里", "滨江一号", "紫荆园", "和悦庭")
REFUND_REASONS = ("重复缴费", "业主退租", "费用调整", "车位退订", "多缴退款", "账单录入错误")
CLERK_WORDS = ("核对无误", "已与业主电话确认", "单据齐全", "金额与账单一致")
# Minor units of CNY: lowest, highest, usual.
_RANGES = {"fee": (30_000, 600_000, 128_000), "parking": (500, 6_000, 1_500), "utility": (2_000, 60_000, 11_000),
           "overseas": (5_000, 250_000, 40_000)}  # fmt: skip
CURRENCIES = {"overseas": ("USD",) * 7 + ("CNY",) * 2 + ("JPY",)}


class Words:
    """Choices of one seed."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._chance = random.random
        self.amounts = {
            kind: [int(random.triangular(*bounds)) // 10 * 10 + random.choice((0, 0, 0, 5, 8)) for _ in range(4096)]
            for kind, bounds in _RANGES.items()
        }
        self.subjects = {
            "fee": [f"{year}年{month}月物业费 {estate}" for year in (2026,) for month in range(1, 13)
                    for estate in _ESTATES],
            "parking": [f"临时停车费 {estate} {gate} 号口" for estate in _ESTATES for gate in range(1, 5)],
            "utility": [f"{what} {estate}" for what in ("水费", "电费", "公摊电费") for estate in _ESTATES],
            "overseas": [f"Management fee, tower {n}" for n in range(1, 9)],
        }  # fmt: skip
        self.rooms = [f"{building}-{floor}{door:02d}" for building in range(1, 13) for floor in range(1, 29)
                      for door in range(1, 5)]  # fmt: skip
        self.payers = [self._payer() for _ in range(800)]

    def _payer(self) -> tuple[str, str]:
        """(encrypted payer, the phone's last digits). Numbers of a range that is given to nobody."""
        phone = f"1000000{self.random.randrange(10_000):04d}"
        return encrypt(json.dumps({"phone": phone})), phone[-4:]

    def one_of(self, things: Sequence[T]) -> T:
        """`random.choice`, in a third of its time."""
        return things[int(self._chance() * len(things))]

    def tail(self) -> str:
        """The random end of one of our numbers."""
        bits = self.random.getrandbits(35)
        return _TRIPLES[bits & 32767] + _TRIPLES[bits >> 15 & 32767] + _ALPHABET[bits >> 30]

    def currency(self, kind: str) -> str:
        return self.one_of(CURRENCIES[kind]) if kind in CURRENCIES else "CNY"

    def hex(self, count: int) -> str:
        return f"{self.random.getrandbits(count * 4):0{count}x}"
