"""Opening merchants, apps and accounts: what is stored, what is refused, what is written down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.db import connection, transaction

from channels.base import CheckResult, Field, FieldKind, Label
from channels.base.keys import KeyProblem
from merchants import checking, offering, services
from merchants.models import AccountMethod, App, AppKey, AppMerchant, CashierMethod, Merchant, PaymentAccount
from merchants.onboarding import certificate_expiry, merged_config
from merchants.states import MerchantState
from paycenter.errors import ChannelConfigInvalid, NotSent, TransitionRefused
from paycenter.http import HttpCall, _recorder
from paycenter.models import Event, Exchange
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.fakes import fakepay

pytestmark = pytest.mark.usefixtures("in_english")

BOSS = "staff:boss"
CONFIG = {"merchant": "fake-merchant", "secret": "s3cret-of-the-channel"}


@pytest.fixture
def draft(world: World) -> PaymentAccount:
    return services.account_create(
        merchant=world.merchant, channel="fakepay", name="Draft", config=CONFIG, actor=BOSS
    )


def events(record: Any) -> list[str]:
    rows = Event.objects.filter(object_type=record._meta.model_name, object_id=record.pk).order_by("id")
    return list(rows.values_list("type", flat=True))


@pytest.mark.django_db
def test_a_merchant_goes_from_draft_to_closed_and_leaves_its_history() -> None:
    merchant = services.merchant_create(name="Riverside", actor=BOSS, short_name="RS")
    assert merchant.state == MerchantState.DRAFT
    assert merchant.merchant_no.startswith("M")
    for transition in ("submit", "send_back", "submit", "activate", "suspend", "resume", "close"):
        merchant = services.merchant_advance(
            merchant=merchant, transition=transition, actor=BOSS, reason="why", confirmed=True
        )
    assert fresh(merchant).state == MerchantState.CLOSED
    assert events(merchant) == ["merchant.created"] + [
        f"merchant.{t}" for t in ("submit", "send_back", "submit", "activate", "suspend", "resume", "close")
    ]
    last = Event.objects.latest("id")
    assert (last.actor, last.reason, last.from_state, last.to_state) == (BOSS, "why", "active", "closed")
    assert last.merchant_no == merchant.merchant_no


@pytest.mark.django_db
@pytest.mark.parametrize("transition", ["activate", "suspend", "resume", "send_back"])
def test_a_draft_cannot_skip_review(transition: str) -> None:
    merchant = services.merchant_create(name="Riverside", actor=BOSS)
    with pytest.raises(TransitionRefused):
        services.merchant_advance(merchant=merchant, transition=transition, actor=BOSS)
    assert fresh(merchant).state == MerchantState.DRAFT
    assert events(merchant) == ["merchant.created"]


@pytest.mark.django_db
def test_changing_details_names_the_fields_and_touches_nothing_else() -> None:
    merchant = services.merchant_create(name="Riverside", actor=BOSS)
    services.merchant_advance(merchant=merchant, transition="submit", actor=BOSS)
    # `merchant` was read before the transition: saving it must not bring the draft back.
    services.merchant_update(merchant=merchant, values={"name": "Lakeside", "note": ""}, actor=BOSS)
    stored = fresh(merchant)
    assert (stored.name, stored.state) == ("Lakeside", MerchantState.REVIEW)
    assert Event.objects.latest("id").detail == {"changed": ["name"]}


@pytest.mark.django_db
def test_an_app_gets_its_secrets_once_and_stores_them_encrypted() -> None:
    merchant = factories.make_merchant()
    issued = services.app_create(name="Shop", actor=BOSS, merchants=[merchant], notify_url="https://shop.example/n")
    assert len(issued.hmac_secret) >= 40
    assert issued.webhook_secret.startswith("whsec_")
    assert issued.hmac_secret not in repr(issued)
    assert issued.webhook_secret not in repr(issued)
    assert AppKey.objects.get(app=issued.app, kind="hmac", slot="current").value == issued.hmac_secret
    assert AppMerchant.objects.get(app=issued.app).merchant == merchant
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM merchants_appkey")
        raw_key = cursor.fetchone()[0]
        cursor.execute("SELECT webhook_secret FROM merchants_app WHERE id = %s", [issued.app.pk])
        raw_webhook = cursor.fetchone()[0]
    assert issued.hmac_secret not in raw_key
    assert issued.webhook_secret not in raw_webhook
    shown = str(list(Event.objects.values_list("detail", "data", "reason")))
    assert issued.hmac_secret not in shown
    assert issued.webhook_secret not in shown


@pytest.mark.django_db
def test_an_app_with_an_unusable_rsa_key_is_not_made() -> None:
    with pytest.raises(KeyProblem):
        services.app_create(name="Shop", actor=BOSS, rsa_public_key="not a key")
    assert not App.objects.exists()


@pytest.mark.django_db
def test_two_apps_never_share_a_secret() -> None:
    first, second = (services.app_create(name=name, actor=BOSS) for name in ("One", "Two"))
    assert first.hmac_secret != second.hmac_secret
    assert first.webhook_secret != second.webhook_secret
    assert first.app.app_id != second.app.app_id


def test_unlinking_a_merchant_switches_it_off_and_linking_it_again_on(world: World) -> None:
    other = factories.make_merchant()
    offering.app_merchants_set(app=world.app, merchants=[other], actor=BOSS, confirmed=True)
    assert dict(AppMerchant.objects.filter(app=world.app).values_list("merchant", "is_active")) == {
        world.merchant.pk: False, other.pk: True,
    }  # fmt: skip
    offering.app_merchants_set(app=world.app, merchants=[other, world.merchant], actor=BOSS, confirmed=True)
    assert AppMerchant.objects.filter(app=world.app, is_active=True).count() == 2
    assert events(world.app) == ["app.merchant_unlinked", "app.merchant_linked", "app.merchant_linked"]


def test_app_update_refuses_what_opens_doors(world: World) -> None:
    for name in ("notify_url", "allowed_ips", "webhook_secret", "app_id"):
        with pytest.raises(KeyError):
            services.app_update(app=world.app, values={name: "x"}, actor=BOSS)
    services.app_update(app=world.app, values={"is_active": False}, actor=BOSS)
    assert not fresh(world.app).is_active


def test_an_account_starts_as_a_draft_with_every_method(draft: PaymentAccount) -> None:
    assert draft.state == MerchantState.DRAFT
    assert draft.identity == "fake-merchant"
    assert set(AccountMethod.objects.filter(account=draft).values_list("method", flat=True)) == set(
        factories.FAKE_METHODS
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT config FROM merchants_paymentaccount WHERE id = %s", [draft.pk])
        assert CONFIG["secret"] not in cursor.fetchone()[0]


@pytest.mark.parametrize(
    ("channel", "config", "field"),
    [
        ("fakepay", {"merchant": "x"}, "secret"),
        ("fakepay", {**CONFIG, "colour": "red"}, "colour"),
        ("nosuch", CONFIG, "channel"),
    ],
)
def test_wrong_parameters_are_named_and_nothing_is_stored(
    world: World, channel: str, config: dict[str, str], field: str
) -> None:
    before = PaymentAccount.objects.count()
    with pytest.raises(ChannelConfigInvalid) as caught:
        services.account_create(merchant=world.merchant, channel=channel, name="A", config=config, actor=BOSS)
    assert set(caught.value.problems) == {field}
    assert PaymentAccount.objects.count() == before


def test_a_method_of_another_channel_is_refused(draft: PaymentAccount) -> None:
    with pytest.raises(ChannelConfigInvalid):
        offering.account_methods_set(account=draft, methods=["fake_qr", "alipay_qr"], actor=BOSS)
    assert AccountMethod.objects.filter(account=draft, is_active=True).count() == 3


def test_methods_left_out_are_switched_off(draft: PaymentAccount) -> None:
    offering.account_methods_set(account=draft, methods=["fake_qr"], actor=BOSS)
    active = AccountMethod.objects.filter(account=draft, is_active=True)
    assert list(active.values_list("method", flat=True)) == ["fake_qr"]
    offering.account_methods_set(account=draft, methods=["fake_qr", "fake_page"], actor=BOSS)
    assert active.count() == 2


def test_activation_needs_a_successful_check(draft: PaymentAccount) -> None:
    services.account_advance(account=draft, transition="submit", actor=BOSS)
    with pytest.raises(TransitionRefused, match="Check the connection"):
        services.account_advance(account=draft, transition="activate", actor=BOSS, confirmed=True)
    assert checking.account_check(account=draft, actor=BOSS).ok
    with pytest.raises(TransitionRefused, match="second person"):
        services.account_advance(account=draft, transition="activate", actor=BOSS)
    services.account_advance(account=draft, transition="activate", actor=BOSS, confirmed=True)
    assert fresh(draft).state == MerchantState.ACTIVE


def test_a_failed_check_is_an_answer_and_blocks_activation(
    draft: PaymentAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Any) -> CheckResult:
        raise NotSent("no connection")

    monkeypatch.setattr(fakepay.FakeProvider, "check", refuse)
    services.account_advance(account=draft, transition="submit", actor=BOSS)
    assert not checking.account_check(account=draft, actor=BOSS).ok
    stored = fresh(draft)
    assert stored.check_ok is False
    assert "no connection" in stored.check_message
    with pytest.raises(TransitionRefused, match="Check the connection"):
        services.account_advance(account=draft, transition="activate", actor=BOSS, confirmed=True)


def test_new_parameters_have_to_be_checked_again(draft: PaymentAccount) -> None:
    checking.account_check(account=draft, actor=BOSS)
    services.account_update_config(account=draft, config={"merchant": "fake-merchant", "secret": "new"}, actor=BOSS)
    stored = fresh(draft)
    assert (stored.check_ok, stored.checked_at, stored.config_version) == (None, None, 2)
    assert Event.objects.latest("id").detail["changed"] == ["secret"]
    assert "new" not in str(Event.objects.latest("id").detail["changed"])


def test_a_blank_secret_keeps_the_stored_one(draft: PaymentAccount) -> None:
    services.account_update_config(account=draft, config={"merchant": "other", "secret": ""}, actor=BOSS)
    assert fresh(draft).config == {"merchant": "other", "secret": CONFIG["secret"]}
    assert fresh(draft).identity == "other"


def test_saving_the_same_parameters_changes_nothing(draft: PaymentAccount) -> None:
    checking.account_check(account=draft, actor=BOSS)
    services.account_update_config(account=draft, config={**CONFIG, "secret": ""}, actor=BOSS)
    assert fresh(draft).check_ok is True
    assert fresh(draft).config_version == 1


def test_an_answer_to_older_parameters_is_not_kept(draft: PaymentAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    def change_meanwhile(_self: Any) -> CheckResult:
        services.account_update_config(account=draft, config={**CONFIG, "secret": "newer"}, actor=BOSS)
        return CheckResult(ok=True, message=Label("好", "fine"))

    monkeypatch.setattr(fakepay.FakeProvider, "check", change_meanwhile)
    checking.account_check(account=draft, actor=BOSS)
    assert fresh(draft).check_ok is None


@pytest.mark.parametrize("state", ["active", "suspended"])
def test_one_person_cannot_change_an_account_that_takes_money(world: World, state: str) -> None:
    account = factories.make_account(world.merchant, state=state)
    with pytest.raises(TransitionRefused):
        services.account_update_config(account=account, config={**CONFIG, "secret": "evil"}, actor=BOSS)
    assert fresh(account).config["secret"] == "fake-channel-secret"


def test_identity_is_fixed_after_the_first_attempt(world: World) -> None:
    factories.trade_pay(app=world.app, order=world.order(), method="fake_qr")
    with pytest.raises(ChannelConfigInvalid) as caught:
        services.account_update_config(
            account=world.account, config={"merchant": "another", "secret": ""}, actor=BOSS, confirmed=True
        )
    assert set(caught.value.problems) == {"merchant"}
    assert fresh(world.account).identity == world.account.identity
    services.account_update_config(
        account=world.account, config={"merchant": "fake-merchant", "secret": "rotated"}, actor=BOSS, confirmed=True
    )
    assert fresh(world.account).config["secret"] == "rotated"


def test_what_the_channel_renews_never_touches_identity_or_secrets(world: World) -> None:
    for name in ("merchant", "secret"):
        with pytest.raises(ChannelConfigInvalid):
            services.account_store_fetched(account=world.account, values={name: "x"})
    assert fresh(world.account).config_version == world.account.config_version


@pytest.mark.django_db(transaction=True)
def test_the_check_refuses_to_wait_inside_a_transaction(committed_world: World) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        checking.account_check(account=committed_world.account, actor=BOSS)


def test_cashier_methods_keep_their_order(world: World) -> None:
    wanted = [(world.account, "fake_page"), (world.account, "fake_qr")]
    offering.cashier_methods_set(
        app=world.app, merchant=world.merchant, methods=wanted, actor=BOSS, confirmed=True
    )
    offering.cashier_methods_set(app=world.app, merchant=world.merchant, methods=wanted[::-1], actor=BOSS)
    rows = CashierMethod.objects.filter(app=world.app, merchant=world.merchant)
    assert list(rows.values_list("method", flat=True)) == ["fake_qr", "fake_page"]


def test_cashier_methods_of_a_foreign_account_or_channel_are_refused(world: World) -> None:
    stranger = factories.make_account(factories.make_merchant())
    for wrong in ([(stranger, "fake_qr")], [(world.account, "alipay_qr")], [(world.account, "fake_qr")] * 2):
        with pytest.raises(ChannelConfigInvalid):
            offering.cashier_methods_set(app=world.app, merchant=world.merchant, methods=wrong, actor=BOSS)
    assert not CashierMethod.objects.exists()


class WithCertificates(fakepay.FakeProvider):
    code = "withcerts"
    fields = (
        Field("cert", Label("证书", "Certificate"), FieldKind.CERTIFICATE, required=False),
        Field("chain", Label("证书链", "Chain"), FieldKind.CERTIFICATE_CHAIN, required=False),
    )


def certificate(*, days: int, authority: bool = False) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )  # fmt: skip
    return built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_the_first_certificate_to_end_counts_and_authorities_do_not() -> None:
    soon, renewed, root = certificate(days=20), certificate(days=400), certificate(days=5, authority=True)
    now = datetime.now(UTC)
    config = merged_config(WithCertificates, {}, {"cert": renewed, "chain": soon + root}, now)
    ends = certificate_expiry(WithCertificates, config)
    assert ends is not None
    assert (ends - now).days in (19, 20)
    # A channel that is renewing its certificate shows both: the newer one decides.
    config = merged_config(WithCertificates, {}, {"chain": soon + renewed}, now)
    ends = certificate_expiry(WithCertificates, config)
    assert ends is not None
    assert (ends - now).days in (399, 400)
    assert certificate_expiry(WithCertificates, {"chain": root}) is None
    assert certificate_expiry(WithCertificates, {}) is None


def test_merchants_are_never_deleted_with_their_accounts(world: World) -> None:
    with pytest.raises(Exception, match="protected"):
        Merchant.objects.get(pk=world.merchant.pk).delete()


def test_the_check_is_in_the_exchange_log_with_its_secrets_masked(draft: PaymentAccount, monkeypatch: Any) -> None:
    call = HttpCall("POST", "https://channel.example/check", {}, b'{"secret": "s3cret-of-the-channel"}', "check")

    def say_something(_self: Any) -> CheckResult:
        calls = _recorder.get()
        assert calls is not None
        calls.append(call)
        return CheckResult(ok=True, message=Label("好", "fine"))

    monkeypatch.setattr(fakepay.FakeProvider, "check", say_something)
    checking.account_check(account=draft, actor=BOSS)
    row = Exchange.objects.get(operation="check")
    assert row.merchant_no == draft.merchant.merchant_no
    assert CONFIG["secret"] not in row.request
