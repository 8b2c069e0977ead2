from __future__ import annotations

from typing import Any

import pytest

from tests.factories import HMAC_SECRET
from tests.fakes.signing import Caller


@pytest.fixture
def call(world: Any, client: Any) -> Caller:
    """The world's app, calling."""
    return Caller(client, world.app.app_id, HMAC_SECRET)
