from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.context import Settings
from sandbox.store import Store
from tests.sandbox.clients import AlipayMerchant, WeChatMerchant
from tests.sandbox.running import Merchant, Running, sign_contract

# The providers' first retries come after 4 minutes and 15 seconds: fractions of a second here.
SPEED = 1200.0


@pytest.fixture(scope="session")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Key generation is slow: one set of contracts, copied into each test's own state."""
    store = Store(tmp_path_factory.mktemp("contracts"))
    wanted = {
        "alipay": ("alipay", "key"), "alipay_other": ("alipay", "key"),
        "alipay_cert": ("alipay", "certificate"), "wechat": ("wechat", "platform_certificate"),
        "wechat_other": ("wechat", "platform_certificate"), "wechat_public": ("wechat", "public_key"),
        "wechat_switching": ("wechat", "switching"),
    }  # fmt: skip
    made = {}
    for name, (channel, mode) in wanted.items():
        made[name] = dict(sign_contract(store, channel, mode=mode, payment_no=f"P-{name}").config)
    store.set_setting("forger_key", made["alipay_other"]["app_private_key"])
    made["store"] = {"path": str(store.path)}
    store.close()
    return made


@pytest.fixture
def state(tmp_path: Path, contracts: dict[str, dict[str, str]]) -> Path:
    """A state directory of the test's own with all contracts in it."""
    directory = tmp_path / "state"
    store = Store(directory)
    store.run("ATTACH DATABASE ? AS made", contracts["store"]["path"])
    for table in ("account", "setting"):
        store.run(f"INSERT INTO {table} SELECT * FROM made.{table}")
    store.close()
    return directory


@pytest.fixture
def sandbox(state: Path) -> Iterator[Running]:
    running = Running(state, Settings(ladder_speed=SPEED, refund_delay=0.2))
    yield running
    running.stop()


@pytest.fixture
def merchant() -> Iterator[Merchant]:
    made = Merchant()
    yield made
    made.stop()


@pytest.fixture
def alipay(sandbox: Running, contracts: dict[str, dict[str, str]], merchant: Merchant) -> AlipayMerchant:
    return AlipayMerchant(sandbox, contracts["alipay"], f"{merchant.url}/notify/alipay")


@pytest.fixture
def wechat(sandbox: Running, contracts: dict[str, dict[str, str]], merchant: Merchant) -> WeChatMerchant:
    made = WeChatMerchant(sandbox, contracts["wechat"], f"{merchant.url}/notify/wechat")
    made.fetch_certificates()
    return made
