import json
import stat

import pytest

from deploy.demo import document, private
from deploy.demo.layout import read

SEEDED = {
    "users": {"operator": {"username": "operator", "password": "s3cret-operator"}},
    "apps": [{"app_id": "APP1", "hmac_secret": "h", "rsa_private_key_path": "/k.pem", "webhook_secret": "whsec_x"}],
    "merchants": [{"merchant_no": "M1", "accounts": [{"payment_no": "Z1", "channel": "alipay", "methods": ["a"]}]}],
}
EXAMPLE = {
    "app_order_no": "ORDER1", "trade_no": "P1", "channel_trade_no": "C1", "method": "wechat_native",
    "amount": 12850, "currency": "CNY",
}  # fmt: skip


@pytest.fixture
def layout(tmp_path):
    found = read({"PAYCENTER_VAR": str(tmp_path), "PAYCENTER_PORT": "8123"})
    private.write_json(found.seeded, SEEDED)
    private.write_json(found.example, EXAMPLE)
    return found


def test_programs_find_everything_in_it(layout):
    document.write(layout, 77)

    assert json.loads(layout.document.read_text()) == {
        "base_url": "http://127.0.0.1:8123",
        "sandbox_url": "http://127.0.0.1:8001",
        "admin": {"url": "http://127.0.0.1:8123/admin/", "users": SEEDED["users"]},
        "apps": SEEDED["apps"],
        "merchants": SEEDED["merchants"],
        "pid": 77,
    }
    assert stat.S_IMODE(layout.document.stat().st_mode) == 0o600


def test_people_see_addresses_logins_and_the_three_numbers(layout):
    shown = document.announcement(layout, 6.54)

    assert "http://127.0.0.1:8123/admin/" in shown
    for text in ("operator", "s3cret-operator", "ORDER1", "P1", "C1", "128.50 CNY", "6.5 s"):
        assert text in shown
