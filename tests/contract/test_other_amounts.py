"""Money of another amount than was asked for goes back as a whole: the channel knows only what it took."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contract.cases import contracts
from tests.contract.desk import AMOUNT, Desk
from tests.contract.till import Till

PAID = AMOUNT + 100


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_all_that_was_paid_goes_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core names the payment by its total at the channel, as it does for every refund."""
    plain = Desk.payer_pays

    def pays(self: Desk, attempt_no: str, pay: dict[str, Any], **more: Any) -> Any:
        return plain(self, attempt_no, pay, amount=PAID, **more)

    monkeypatch.setattr(Desk, "payer_pays", pays)
    till = Till.open(desk)
    paid = desk.provider.query(till.order)
    assert paid.amount is not None
    assert paid.amount.minor == PAID, "the channel says what it took, not what was asked for"

    till.given_back(till.refund_of(PAID, order=replace(till.order, amount=paid.amount)))

    assert till.moved() == PAID
