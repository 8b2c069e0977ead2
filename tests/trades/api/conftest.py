from __future__ import annotations

from typing import Any

import pytest

from tests.factories import HMAC_SECRET
from tests.fakes.signing import Caller


@pytest.fixture
def call(world: Any, client: Any) -> Caller:
    """The world's app, calling."""
    return Caller(client, world.app.app_id, HMAC_SECRET)


@pytest.fixture
def order(world: Any) -> dict[str, Any]:
    """A gopay body that is answered with 0."""
    return {
        "merchant_no": world.merchant.merchant_no, "method": "fake_qr", "app_order_no": "ORDER-1",
        "amount": 1234, "subject": "Property fee, November",
    }  # fmt: skip
