"""Orders through a stream on a Redis of these tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from cashier.intake import stream as streams
from cashier.intake.stream import OrderStream
from deploy.checks import services
from tests.factories import HMAC_SECRET
from tests.fakes.signing import Caller


@pytest.fixture(scope="session")
def own_redis() -> Iterator[str]:
    try:
        with services.redis() as url:
            yield url
    except services.Unavailable as exc:
        pytest.skip(str(exc))


@pytest.fixture
def stream(own_redis: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> OrderStream:
    """Every order goes through it, however slow the machine; it is empty."""
    monkeypatch.setattr(streams, "PATIENCE", 20.0)
    redis.Redis.from_url(own_redis).flushdb()
    streams._stream.cache_clear()
    settings.ORDER_STREAM, settings.ORDER_STREAM_URL = "on", own_redis
    settings.ORDER_STREAM_OLDEST = 600.0
    found = OrderStream(own_redis, patience=20)
    found.open_group()
    return found


@pytest.fixture
def call(world: Any, client: Any) -> Caller:
    """The world's app, calling."""
    return Caller(client, world.app.app_id, HMAC_SECRET)
