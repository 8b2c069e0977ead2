"""Seeding through the center's services, against a sandbox that signs and checks for real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from channels.base import keys
from channels.base.discovery import providers
from deploy.demo import contracts, seed, staff
from deploy.demo.claim import make_directories
from deploy.demo.client import answers
from deploy.demo.layout import ROOT, Trouble, read
from merchants.models import App, AppKey, CashierMethod, Merchant, PaymentAccount, Role, User
from merchants.services import app_create
from paycenter.models import RetrySchedule
from reconciliation.settlement.models import FeeRate, SettlementTerms
from tests.demo.test_children import wait_until
from tests.demo.test_end_to_end import free_ports


@pytest.fixture
def layout(tmp_path):
    found = read({"PAYCENTER_VAR": str(tmp_path), "PAYCENTER_SANDBOX_PORT": str(free_ports()[0])})
    make_directories(found)
    return found


@pytest.fixture
def sandbox(layout):
    command = [sys.executable, "-m", "sandbox", "serve", "--state", str(layout.sandbox_state)]
    process = subprocess.Popen(
        [*command, "--port", str(layout.sandbox_port)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: answers(f"{layout.sandbox_url}/healthz"), seconds=60)
    yield
    process.terminate()
    process.wait(10)


@pytest.mark.django_db(transaction=True)
def test_seeding_twice_is_seeding_once(layout, sandbox):
    seed.seed(layout)
    first = layout.seeded.read_text()
    accounts = {account.payment_no: account for account in PaymentAccount.objects.select_related("merchant")}

    seed.seed(layout)

    assert layout.seeded.read_text() == first
    assert (Merchant.objects.count(), App.objects.count(), User.objects.count()) == (2, 2, len(staff.USERS))
    played = {code for code in providers() if (ROOT / "sandbox" / code / "channel.py").exists()}
    first_merchant, second_merchant = Merchant.objects.order_by("id")
    assert {a.channel for a in accounts.values() if a.merchant == first_merchant} == played >= {"alipay", "wechat"}
    assert {a.channel for a in accounts.values() if a.merchant == second_merchant} == {"alipay", "wechat"}
    assert PaymentAccount.objects.count() == len(accounts) == len(played) + 2
    assert {a.state for a in accounts.values()} == {"active"}
    assert all(a.check_ok for a in accounts.values())
    assert FeeRate.objects.count() == SettlementTerms.objects.count() == len(accounts)
    modes = {(a.channel, a.config.get("key_mode") or a.config.get("verify_mode")) for a in accounts.values()}
    assert len(modes) == len(accounts), "each merchant signs in its own way"
    for app, merchants in zip(App.objects.order_by("id"), (2, 1), strict=True):
        assert app.merchants.count() == merchants
        assert CashierMethod.objects.filter(app=app).values("merchant").distinct().count() == merchants
    assert User.objects.get(username="merchant").merchant == Merchant.objects.order_by("id").first()
    assert User.objects.filter(role=Role.FINANCE).count() == 2
    assert not list((layout.var / "contracts").iterdir()), "no readable keys stay behind"


@pytest.mark.django_db(transaction=True)
def test_what_an_operator_changed_stays(layout, sandbox):
    seed.seed(layout)
    RetrySchedule.objects.filter(name="query").update(delays=[60])
    app = App.objects.order_by("id").first()
    CashierMethod.objects.filter(app=app).exclude(method="alipay_qr").delete()
    FeeRate.objects.update(ppm=2500)
    shown = CashierMethod.objects.filter(app=app).count()

    seed.seed(layout)

    assert RetrySchedule.objects.get(name="query").delays == [60]
    assert CashierMethod.objects.filter(app=app).count() == shown
    assert set(FeeRate.objects.values_list("ppm", flat=True)) == {2500}


def test_an_account_follows_the_sandbox_to_its_new_port():
    config = {
        "gateway_url": "http://127.0.0.1:8001/gateway.do", "oauth_url": "http://127.0.0.1:8001/oauth2/x?a=1",
        "app_id": "2021000000000001", "read_timeout": 10,
    }  # fmt: skip

    assert contracts.moved(config, "http://127.0.0.1:8001") == {}
    assert contracts.moved(config, "http://127.0.0.1:9001") == config | {
        "gateway_url": "http://127.0.0.1:9001/gateway.do", "oauth_url": "http://127.0.0.1:9001/oauth2/x?a=1",
    }  # fmt: skip


def test_an_account_at_the_real_channel_is_left_alone():
    assert contracts.moved({"gateway_url": "https://openapi.alipay.com/gateway.do"}, "http://127.0.0.1:9001") == {}


@pytest.mark.django_db
def test_a_channel_without_stand_in_is_left_out(layout):
    assert contracts.sign(layout, "M1", "no_such_channel", second=False) is None


def test_a_sandbox_that_does_not_answer_is_named(layout, monkeypatch):
    monkeypatch.setattr(contracts, "SANDBOX_PATIENCE", 0.2)

    with pytest.raises(Trouble, match=f"does not answer on {layout.sandbox_url}"):
        contracts.wait_for_sandbox(layout)


@pytest.mark.django_db
def test_logins_are_strong_and_kept(layout):
    merchant = Merchant.objects.create(merchant_no="M1", name="x")

    first, second = staff.staff(layout, merchant), staff.staff(layout, merchant)

    assert first == second
    assert set(first) == set(staff.USERS)
    for name, login in first.items():
        user = User.objects.get(username=name)
        assert user.check_password(login["password"])
        assert user.is_staff
        assert not user.is_superuser


@pytest.mark.django_db
def test_lost_logins_are_made_anew_and_work(layout):
    merchant = Merchant.objects.create(merchant_no="M1", name="x")
    before = staff.staff(layout, merchant)
    (layout.var / "logins.json").unlink()

    after = staff.staff(layout, merchant)

    assert after != before
    assert User.objects.get(username="auditor").check_password(after["auditor"]["password"])


@pytest.mark.django_db
@pytest.mark.parametrize("trouble", ["lost", "another"])
def test_the_private_key_in_the_file_is_always_the_registered_one(layout, trouble):
    app = app_create(name="x", actor="system").app
    path = Path(staff.app_secrets(layout, app)["rsa_private_key_path"])
    before = path.read_text()
    if trouble == "lost":
        path.unlink()
    else:
        path.write_text(keys.private_key_pem(rsa.generate_private_key(65537, 2048)))

    assert staff.app_secrets(layout, app)["rsa_private_key_path"] == str(path)

    assert path.read_text() != before
    public = keys.public_key_pem(keys.parse_private_key(path.read_text()).public_key())
    assert AppKey.objects.get(app=app, kind="rsa", slot="current").value == public
    assert staff.app_secrets(layout, app) == staff.app_secrets(layout, app)
