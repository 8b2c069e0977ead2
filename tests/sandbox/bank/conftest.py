from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.context import Settings
from sandbox.store import Store
from tests.sandbox.bank.client import BankMerchant
from tests.sandbox.running import Merchant, Running, sign_contract


@pytest.fixture(scope="module")
def bank_state(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, str]]]:
    """Key generation is slow: the contracts of a module's tests."""
    directory = tmp_path_factory.mktemp("bank")
    store = Store(directory)
    made = {
        name: dict(sign_contract(store, "bank", mode=mode, payment_no=f"P-{name}").config)
        for name, mode in (("ten", "ten_digits"), ("six", "six_digits"))
    }
    store.close()
    return directory, made


@pytest.fixture(scope="module")
def moving() -> list[float]:
    """Seconds by which the sandbox's clock is ahead."""
    return [0.0]


@pytest.fixture(scope="module")
def bank_sandbox(
    bank_state: tuple[Path, dict[str, dict[str, str]]], moving: list[float]
) -> Iterator[Running]:
    settings = Settings(ladder_speed=1200.0, refund_delay=0.1)
    running = Running(bank_state[0], settings, clock=lambda: time.time() + moving[0])
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _present(moving: list[float]) -> Iterator[None]:
    yield
    moving[0] = 0.0


@pytest.fixture
def merchant() -> Iterator[Merchant]:
    made = Merchant(answer=(200, b"SUCCESS"))
    yield made
    made.stop()


@pytest.fixture
def bank(
    bank_sandbox: Running, bank_state: tuple[Path, dict[str, dict[str, str]]], merchant: Merchant
) -> BankMerchant:
    return BankMerchant(bank_sandbox, bank_state[1]["ten"], merchant.url)


@pytest.fixture
def six(
    bank_sandbox: Running, bank_state: tuple[Path, dict[str, dict[str, str]]], merchant: Merchant
) -> BankMerchant:
    return BankMerchant(bank_sandbox, bank_state[1]["six"], merchant.url)
