"""Encrypted fields, key rotation, and the command that re-encrypts everything."""

from __future__ import annotations

import io
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from merchants.models import App, AppKey, Merchant, PaymentAccount
from notifications.models import AlertRoute
from paycenter import crypto
from paycenter.errors import ConfigError
from paycenter.management.commands import reencrypt

pytestmark = pytest.mark.django_db
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRET = "Zq7 密钥 -----BEGIN-----"


@pytest.fixture(autouse=True)
def _old_key(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]


def stored(model: type, column: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {model._meta.db_table} ORDER BY id")  # type: ignore[attr-defined]
        return [row[0] for row in cursor.fetchall()]


def fill(count: int = 1) -> None:
    merchant = Merchant.objects.create(merchant_no="M1", name="m")
    for index in range(count):
        app = App.objects.create(app_id=f"a{index}", name="a", webhook_secret=f"{SECRET}{index}")
        AppKey.objects.create(app=app, kind="hmac", value=SECRET)
        PaymentAccount.objects.create(
            payment_no=f"Z{index}",
            merchant=merchant,
            channel="alipay",
            name="x",
            config={"private_key": SECRET, "n": index},
        )
    AlertRoute.objects.create(name="r", url="https://a.example/?access_token=x", secret="")


def run(**options: Any) -> str:
    out = io.StringIO()
    call_command("reencrypt", stdout=out, **options)
    return out.getvalue()


class TestFields:
    def test_values_come_back_and_are_not_stored_in_the_clear(self) -> None:
        fill()
        assert App.objects.get().webhook_secret == f"{SECRET}0"
        assert PaymentAccount.objects.get().config == {"private_key": SECRET, "n": 0}
        for text in stored(App, "webhook_secret") + stored(PaymentAccount, "config"):
            assert "Zq7" not in text
            assert text.startswith("gAAAA")

    def test_the_same_value_looks_different_each_time(self) -> None:
        assert crypto.encrypt("x") != crypto.encrypt("x")

    def test_an_empty_text_stays_empty(self) -> None:
        fill()
        assert stored(App, "webhook_secret_previous") == [""]
        assert App.objects.get().webhook_secret_previous == ""

    def test_an_old_key_still_reads(self, settings: Any) -> None:
        fill()
        settings.ENCRYPTION_KEYS = [NEW, OLD]
        assert App.objects.get().webhook_secret == f"{SECRET}0"

    def test_without_the_key_the_error_names_the_setting_and_shows_nothing(self, settings: Any) -> None:
        fill()
        settings.ENCRYPTION_KEYS = [NEW]
        with pytest.raises(ConfigError, match="PAYCENTER_ENCRYPTION_KEYS") as failed:
            App.objects.get()
        assert stored(App, "webhook_secret")[0] not in str(failed.value)
        assert "Zq7" not in str(failed.value)

    def test_no_key_at_all(self, settings: Any) -> None:
        settings.ENCRYPTION_KEYS = []
        with pytest.raises(ConfigError, match="is not set"):
            crypto.encrypt("x")

    def test_a_changed_token_is_refused(self) -> None:
        token = crypto.encrypt("x")
        with pytest.raises(ConfigError):
            crypto.decrypt(token[:-6] + "AAAAA=")


class TestReencrypt:
    def test_afterwards_the_new_key_alone_is_enough(self, settings: Any) -> None:
        fill(3)
        settings.ENCRYPTION_KEYS = [NEW, OLD]
        out = run()
        settings.ENCRYPTION_KEYS = [NEW]
        assert [a.webhook_secret for a in App.objects.order_by("id")] == [f"{SECRET}{i}" for i in range(3)]
        assert {k.value for k in AppKey.objects.all()} == {SECRET}
        assert [a.config["n"] for a in PaymentAccount.objects.order_by("id")] == [0, 1, 2]
        assert AlertRoute.objects.get().url.endswith("access_token=x")
        assert "merchants.App (webhook_secret, webhook_secret_previous): 3 rows" in out
        assert "Zq7" not in out

    def test_small_batches_reach_every_row_and_say_so(self, settings: Any) -> None:
        fill(7)
        settings.ENCRYPTION_KEYS = [NEW, OLD]
        out = run(batch=2)
        settings.ENCRYPTION_KEYS = [NEW]
        assert len({a.webhook_secret for a in App.objects.all()}) == 7
        assert "merchants.App: 2 rows so far" in out
        assert "merchants.App: 6 rows so far" in out

    def test_twice_is_as_good_as_once(self, settings: Any) -> None:
        fill(2)
        settings.ENCRYPTION_KEYS = [NEW, OLD]
        run()
        run()
        settings.ENCRYPTION_KEYS = [NEW]
        assert App.objects.get(app_id="a1").webhook_secret == f"{SECRET}1"

    def test_interrupted_it_can_be_started_again(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(4)
        settings.ENCRYPTION_KEYS = [NEW, OLD]
        model, fields = next(pair for pair in reencrypt.encrypted_models() if pair[0] is App)
        assert reencrypt.rewrite_batch(model, fields, after=None, size=2)[0] == 2
        assert len({a.webhook_secret for a in App.objects.all()}) == 4  # half new, half old: all readable
        run()
        settings.ENCRYPTION_KEYS = [NEW]
        assert len({a.webhook_secret for a in App.objects.all()}) == 4

    def test_a_value_no_key_opens_is_named_and_the_rest_of_its_batch_untouched(self, settings: Any) -> None:
        fill(2)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE merchants_app SET webhook_secret = 'garbage' WHERE app_id = 'a1'")
        before = stored(App, "webhook_secret")
        settings.ENCRYPTION_KEYS = [NEW, OLD]
        with pytest.raises(CommandError, match=r"merchants\.App\.webhook_secret of row \d+"):
            run()
        assert stored(App, "webhook_secret") == before

    def test_it_finds_every_encrypted_field(self) -> None:
        found = {f"{model._meta.label}.{f.name}" for model, fields in reencrypt.encrypted_models() for f in fields}
        assert found >= {
            "merchants.App.webhook_secret", "merchants.AppKey.value", "merchants.PaymentAccount.config",
            "notifications.AlertRoute.url", "notifications.AlertRoute.secret", "trades.Trade.payer",
            "trades.Attempt.memo",
        }  # fmt: skip

    def test_versions_and_times_do_not_change(self, settings: Any) -> None:
        fill()
        before = PaymentAccount.objects.values("version", "config_version", "created_at").get()
        settings.ENCRYPTION_KEYS = [NEW, OLD]
        run()
        assert PaymentAccount.objects.values("version", "config_version", "created_at").get() == before

    def test_a_batch_of_nothing_is_refused(self) -> None:
        with pytest.raises(CommandError, match="at least 1"):
            run(batch=0)

    def test_an_empty_database(self) -> None:
        assert "merchants.App (webhook_secret, webhook_secret_previous): 0 rows" in run()
