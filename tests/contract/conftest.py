"""One sandbox for the whole run, its contracts, and the center in front of it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from merchants import channels as account_channels
from paycenter.logging import formatter
from sandbox.context import Settings
from tests.contract.cases import Case
from tests.contract.desk import HTTP, Contracts, Desk, payer_for
from tests.contract.entrance import Entrance
from tests.contract.office import Office
from tests.sandbox.running import Merchant, Running


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("contract-sandbox"), Settings(ladder_speed=1200.0, refund_delay=0.2))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def contracts(sandbox: Running) -> Contracts:
    return Contracts(sandbox)


@pytest.fixture(scope="session")
def told_merchant() -> Iterator[Merchant]:
    """Where notifications go in the tests of a provider alone."""
    made = Merchant()
    yield made
    made.stop()


@pytest.fixture
def desk(case: Case, sandbox: Running, contracts: Contracts, told_merchant: Merchant) -> Iterator[Desk]:
    """The provider alone, as the core makes it, without the core."""
    config = contracts.config(case.channel, case.mode)
    provider = case.provider(config, http=HTTP)
    payer = payer_for(sandbox, provider, case.scene.payer_key)
    told_merchant.told.clear()
    told_merchant.answer = Merchant.answer
    yield Desk(case, sandbox, config, provider, told_merchant, payer)
    sandbox.control("DELETE", "/faults")


@pytest.fixture
def log_text() -> Iterator[io.StringIO]:
    """What our handler would write, down to DEBUG."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter())
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.fixture(scope="session")
def entrance() -> Iterator[Entrance]:
    made = Entrance()
    yield made
    made.stop()


@pytest.fixture
def office(db: None, desk: Desk, entrance: Entrance, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Office:
    """The whole center with one merchant, whose account is this contract."""
    settings.PUBLIC_BASE_URL = entrance.url
    settings.ROOT_URLCONF = "paycenter.urls.public"
    # Rolled-back tests use the same primary keys for other accounts.
    monkeypatch.setattr(account_channels, "_cache", {})
    entrance.forget()
    return Office.open(desk, entrance)
