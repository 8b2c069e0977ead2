"""Onboarding through the pages, as an operator does it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from merchants import offering, services
from merchants.changes import change_confirm
from merchants.models import AccountMethod, App, AppKey, CashierMethod, ChangeRequest, Merchant, PaymentAccount
from paycenter.models import Event
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff, signed_in

ADD = "/admin/merchants/paymentaccount/add/"
APP_ID, PID = "2021001234567890", "2088001234567890"


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_staff("operator"))


@pytest.fixture(scope="module")
def key_pair() -> tuple[str, str]:
    """A private key and the public key of somebody else, as Alipay's console gives them."""
    own, theirs = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _n in range(2))
    private = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
    return private, public_pem(theirs)


def public_pem(key: Any) -> str:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip


def alipay_form(key_pair: tuple[str, str], **changed: Any) -> dict[str, Any]:
    values = {
        "name": "Alipay of Riverside", "methods": ["alipay_qr"], "config-app_id": APP_ID, "config-seller_id": PID,
        "config-key_mode": "key", "config-app_private_key": key_pair[0], "config-alipay_public_key": key_pair[1],
        "config-gateway_url": "https://openapi.alipay.com/gateway.do",
        "config-oauth_url": "https://openauth.alipay.com/oauth2/publicAppAuthorize.htm",
        "config-connect_timeout": "3", "config-read_timeout": "8",
    }  # fmt: skip
    return {**values, **changed}


def errors_of(page: str) -> list[str]:
    found = re.findall(r'<ul class="errorlist"[^>]*>(.*?)</ul>', page, re.S)
    return [re.sub(r"<[^>]+>", " ", one).strip() for one in found]


def test_a_merchant_is_opened_and_walked_through_its_states(operator: Client) -> None:
    data = {"name": "Riverside", "short_name": "RS", "timezone": "Asia/Shanghai"}
    assert operator.post("/admin/merchants/merchant/add/", data).status_code == 302
    merchant = Merchant.objects.get()
    assert (merchant.state, Event.objects.get().actor) == ("draft", "staff:operator")
    base = f"/admin/merchants/merchant/{merchant.pk}"
    for transition in ("submit", "activate"):
        operator.post(f"{base}/advance/{transition}/")
    assert fresh(merchant).state == "review"
    change_confirm(change=ChangeRequest.objects.get(), user=make_staff("finance"))
    assert fresh(merchant).state == "active"
    page = operator.get(f"{base}/change/").content.decode()
    assert "Submitted for review" in page
    assert f"{base}/advance/suspend/" in page
    assert f"{base}/advance/activate/" not in page


def test_suspending_demands_a_reason_on_the_server(operator: Client, world: World) -> None:
    url = f"/admin/merchants/merchant/{world.merchant.pk}/advance/suspend/"
    operator.post(url, {"reason": "  "})
    assert fresh(world.merchant).state == "active"
    operator.post(url, {"reason": "contract ended"})
    assert fresh(world.merchant).state == "suspended"
    assert Event.objects.latest("id").reason == "contract ended"


def test_states_change_by_post_only(operator: Client, world: World) -> None:
    for url in (
        f"/admin/merchants/merchant/{world.merchant.pk}/advance/close/",
        f"/admin/merchants/paymentaccount/{world.account.pk}/advance/suspend/",
        f"/admin/merchants/paymentaccount/{world.account.pk}/check/",
        f"/admin/merchants/paymentaccount/{world.account.pk}/methods/",
    ):
        assert operator.get(url).status_code == 405
    assert fresh(world.merchant).state == "active"


def test_a_state_cannot_be_changed_without_the_csrf_token(world: World) -> None:
    user = make_staff("operator")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user, backend="merchants.roles.RoleBackend")
    answer = client.post(f"/admin/merchants/merchant/{world.merchant.pk}/advance/close/", {"reason": "x y"})
    assert answer.status_code == 403
    assert fresh(world.merchant).state == "active"


def test_the_form_asks_for_the_channel_first_and_is_drawn_from_it(operator: Client, world: World) -> None:
    first = operator.get(ADD).content.decode()
    assert 'value="alipay"' in first
    assert 'value="wechat"' in first
    page = operator.get(f"{ADD}?merchant={world.merchant.pk}&channel=alipay").content.decode()
    assert 'name="config-app_private_key"' in page
    assert 'name="file-app_private_key"' in page
    assert "Alipay public key" in page
    assert "&quot;key_mode&quot;: [&quot;certificate&quot;]" in page
    other = signed_in(make_staff("operator", username="zh"), language="zh-hans")
    assert "支付宝公钥" in other.get(f"{ADD}?merchant={world.merchant.pk}&channel=alipay").content.decode()


def test_an_account_is_opened_with_pasted_keys(operator: Client, world: World, key_pair: tuple[str, str]) -> None:
    url = f"{ADD}?merchant={world.merchant.pk}&channel=alipay"
    assert operator.post(url, alipay_form(key_pair)).status_code == 302
    account = PaymentAccount.objects.get(channel="alipay")
    assert account.config["app_private_key"].startswith("-----BEGIN PRIVATE KEY-----")
    assert account.identity == f"{APP_ID}/{PID}"
    assert list(AccountMethod.objects.filter(account=account).values_list("method", flat=True)) == ["alipay_qr"]


def test_an_uploaded_file_counts_like_pasted_text(operator: Client, world: World, key_pair: tuple[str, str]) -> None:
    upload = SimpleUploadedFile("key.pem", key_pair[0].encode())
    data = alipay_form(key_pair, **{"config-app_private_key": "", "file-app_private_key": upload})
    assert operator.post(f"{ADD}?merchant={world.merchant.pk}&channel=alipay", data).status_code == 302
    assert PaymentAccount.objects.get(channel="alipay").config["app_private_key"].startswith("-----BEGIN PRIVATE")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"config-app_id": "12"}, "16"),
        ({"config-seller_id": "1088001234567890"}, "2088"),
        ({"config-app_private_key": "nonsense"}, "RSA private key"),
        ({"config-app_private_key": ""}, "required"),
        ({"config-gateway_url": "ftp://x"}, "http"),
        ({"config-read_timeout": "99"}, "between"),
        ({"config-key_mode": "certificate"}, "required"),
    ],
)
def test_what_is_wrong_is_named_at_its_field(
    operator: Client, world: World, key_pair: tuple[str, str], changed: dict[str, str], words: str
) -> None:
    answer = operator.post(f"{ADD}?merchant={world.merchant.pk}&channel=alipay", alipay_form(key_pair, **changed))
    assert answer.status_code == 200
    assert any(words in error for error in errors_of(answer.content.decode()))
    assert not PaymentAccount.objects.filter(channel="alipay").exists()


def test_the_apps_own_public_key_is_recognised(operator: Client, world: World, key_pair: tuple[str, str]) -> None:
    own = serialization.load_pem_private_key(key_pair[0].encode(), None)
    data = alipay_form(key_pair, **{"config-alipay_public_key": public_pem(own)})
    page = operator.post(f"{ADD}?merchant={world.merchant.pk}&channel=alipay", data).content.decode()
    assert any("own public key" in error for error in errors_of(page))


def test_secrets_come_back_on_no_page(operator: Client, world: World, key_pair: tuple[str, str]) -> None:
    data = alipay_form(key_pair, **{"config-app_id": "bad"})
    refused = operator.post(f"{ADD}?merchant={world.merchant.pk}&channel=alipay", data)
    assert "no-store" in refused["Cache-Control"]
    base = f"/admin/merchants/paymentaccount/{world.account.pk}"
    for url in (f"{base}/change/", f"{base}/config/", f"{base}/history/", "/admin/merchants/paymentaccount/"):
        page = operator.get(url).content.decode()
        assert "fake-channel-secret" not in page, url
    assert "••••••" in operator.get(f"{base}/change/").content.decode()


def test_a_draft_is_changed_at_once_and_blank_keeps_the_secret(operator: Client, world: World) -> None:
    draft = services.account_create(
        merchant=world.merchant, channel="fakepay", name="D", config={"merchant": "a", "secret": "keep-me"}, actor="t"
    )
    url = f"/admin/merchants/paymentaccount/{draft.pk}/config/"
    assert operator.post(url, {"config-merchant": "b", "config-secret": ""}).status_code == 302
    assert fresh(draft).config == {"merchant": "b", "secret": "keep-me"}
    assert not ChangeRequest.objects.exists()


def test_an_active_account_changes_through_a_second_person(operator: Client, world: World) -> None:
    url = f"/admin/merchants/paymentaccount/{world.account.pk}/config/"
    data = {"config-merchant": "fake-merchant", "config-secret": "the-new-one"}
    assert operator.post(url, data).status_code == 200  # no reason given
    assert not ChangeRequest.objects.exists()
    assert operator.post(url, {**data, "reason": "rotation"}).status_code == 302
    change = ChangeRequest.objects.get()
    page = f"/admin/merchants/changerequest/{change.pk}"
    operator.post(f"{page}/decide/confirm/")
    assert fresh(world.account).config["secret"] == "fake-channel-secret"
    finance = signed_in(make_staff("finance"))
    shown = finance.get(f"{page}/change/").content.decode()
    assert "the-new-one" not in shown
    assert "••••••" in shown
    finance.post(f"{page}/decide/confirm/", {"reason": "called back"})
    assert fresh(world.account).config["secret"] == "the-new-one"


def test_rejecting_needs_a_reason(operator: Client, world: World) -> None:
    url = f"/admin/merchants/paymentaccount/{world.account.pk}/config/"
    operator.post(url, {"config-merchant": "fake-merchant", "config-secret": "x1", "reason": "rotation"})
    page = f"/admin/merchants/changerequest/{ChangeRequest.objects.get().pk}/decide/reject/"
    finance = signed_in(make_staff("finance"))
    finance.post(page)
    assert ChangeRequest.objects.get().state == "pending"
    finance.post(page, {"reason": "nobody asked for it"})
    assert ChangeRequest.objects.get().state == "rejected"


def test_the_connection_check_shows_the_channels_answer(operator: Client, world: World) -> None:
    url = f"/admin/merchants/paymentaccount/{world.account.pk}/check/"
    page = operator.post(url, follow=True).content.decode()
    assert "The connection works" in page
    assert fresh(world.account).check_ok is True


@pytest.mark.parametrize("role", ["finance", "service", "auditor"])
def test_other_roles_look_but_do_not_touch(world: World, role: str) -> None:
    client = signed_in(make_staff(role))
    base = f"/admin/merchants/merchant/{world.merchant.pk}"
    assert client.get(f"{base}/change/").status_code == 200
    assert client.post(f"{base}/advance/suspend/", {"reason": "because"}).status_code == 403
    assert client.post(f"{base}/change/", {"name": "Mine now", "timezone": "UTC"}).status_code == 403
    account = f"/admin/merchants/paymentaccount/{world.account.pk}"
    assert client.post(f"{account}/check/").status_code == 403
    assert client.post(f"{account}/config/", {"config-secret": "x", "reason": "because"}).status_code == 403
    assert client.post("/admin/merchants/app/add/", {"name": "x", "requests_per_second": 1}).status_code == 403
    assert fresh(world.merchant).state == "active"


def test_a_new_apps_secrets_are_shown_once(operator: Client, world: World) -> None:
    data = {"name": "Shop", "requests_per_second": "100", "merchants": [world.merchant.pk]}
    data["allowed_ips"] = "203.0.113.7/24"
    answer = operator.post("/admin/merchants/app/add/", data)
    app = App.objects.get(name="Shop")
    assert app.allowed_ips == ["203.0.113.0/24"]
    secret = AppKey.objects.get(app=app, kind="hmac").value
    shown = operator.get(answer["Location"])
    assert secret in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    again = operator.get(answer["Location"])
    assert again.status_code == 302
    page = operator.get(again["Location"]).content.decode()
    assert secret not in page
    assert app.webhook_secret not in page
    assert secret not in str(list(Event.objects.values()))


def test_a_fresh_secret_lies_in_the_session_encrypted(operator: Client) -> None:
    operator.post("/admin/merchants/app/add/", {"name": "Shop", "requests_per_second": "100"})
    secret = AppKey.objects.get(kind="hmac").value
    assert secret not in str(dict(operator.session))


@pytest.mark.parametrize(
    "data",
    [
        {"notify_url": "http://169.254.169.254/latest"},
        {"notify_url": "http://10.0.0.1/hook"},
        {"notify_url": "javascript:alert(1)"},
        {"notify_url": "https://user:pw@shop.example/"},
        {"return_url": "file:///etc/passwd"},
        {"allowed_ips": "not-a-network"},
        {"requests_per_second": "0"},
    ],
)
def test_addresses_we_would_never_call_are_refused(operator: Client, data: dict[str, str]) -> None:
    answer = operator.post("/admin/merchants/app/add/", {"name": "Shop", "requests_per_second": "100", **data})
    assert answer.status_code == 200
    assert not App.objects.exists()


def test_an_apps_addresses_wait_for_a_second_person(operator: Client, world: World) -> None:
    url = f"/admin/merchants/app/{world.app.pk}/addresses/"
    operator.post(url, {"notify_url": "https://new.example/n", "return_url": "", "allowed_ips": "", "reason": "moved"})
    assert fresh(world.app).notify_url == world.app.notify_url
    change = ChangeRequest.objects.get()
    signed_in(make_staff("finance")).post(f"/admin/merchants/changerequest/{change.pk}/decide/confirm/")
    assert fresh(world.app).notify_url == "https://new.example/n"


def test_the_cashier_shows_what_is_ticked_in_the_order_of_the_positions(operator: Client, world: World) -> None:
    url = f"/admin/merchants/cashiermethod/configure/{world.app.pk}/{world.merchant.pk}/"
    qr, page = f"{world.account.pk}-fake_qr", f"{world.account.pk}-fake_page"
    factories.make_cashier_methods(world.app, world.account, "fake_qr", "fake_page")
    operator.post(url, {"shown": [qr, page], f"position-{qr}": "2", f"position-{page}": "1"})
    assert list(CashierMethod.objects.values_list("method", flat=True)) == ["fake_page", "fake_qr"]
    operator.post(url, {"shown": [qr]})
    assert list(CashierMethod.objects.values_list("method", flat=True)) == ["fake_qr"]


def test_an_account_of_another_merchant_cannot_be_slipped_into_the_cashier(operator: Client, world: World) -> None:
    stranger = factories.make_account(factories.make_merchant())
    url = f"/admin/merchants/cashiermethod/configure/{world.app.pk}/{world.merchant.pk}/"
    operator.post(url, {"shown": [f"{stranger.pk}-fake_qr"]})
    assert not CashierMethod.objects.exists()


def test_a_colour_white_text_cannot_be_read_on_is_refused(operator: Client, world: World) -> None:
    url = f"/admin/merchants/cashiermethod/layout/{world.app.pk}/"
    assert operator.post(url, {"accent": "#ffff00", "title_zh": "缴费"}).status_code == 200
    assert fresh(world.app).cashier_layout == {}
    assert operator.post(url, {"accent": "#0f5132", "title_zh": "缴费", "rows": "房号\n账期"}).status_code == 302
    assert fresh(world.app).cashier_layout == {
        "accent": "#0f5132", "title": {"zh": "缴费", "en": "缴费"}, "rows": ["房号", "账期"],
    }  # fmt: skip


def test_nothing_in_the_admin_can_be_deleted(world: World) -> None:
    from django.contrib import admin

    boss = signed_in(make_staff("operator", is_superuser=True, username="root"))
    for model in admin.site._registry:
        record = model._default_manager.first()
        if record is not None:
            url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/{record.pk}/delete/"
            assert boss.post(url, {"post": "yes"}).status_code == 403, url
            assert model._default_manager.filter(pk=record.pk).exists()


def test_a_previous_key_is_forgotten_by_one_person(operator: Client, world: World) -> None:
    AppKey.objects.create(app=world.app, kind="hmac", slot="previous", value="old")
    url = f"/admin/merchants/app/{world.app.pk}/forget/hmac/"
    assert operator.get(url).status_code == 404
    operator.post(url)
    assert list(AppKey.objects.filter(app=world.app).values_list("slot", flat=True)) == ["current"]
    assert operator.post(f"/admin/merchants/app/{world.app.pk}/forget/nonsense/").status_code == 404


def test_saving_the_layout_keeps_the_mini_programs_page(operator: Client, world: World) -> None:
    url = f"/admin/merchants/cashiermethod/layout/{world.app.pk}/"
    services.app_update(app=world.app, values={"cashier_layout": {"mini_page": "/pages/pay/pay"}}, actor="system")
    page = operator.get(url).content.decode()
    assert 'value="/pages/pay/pay"' in page
    operator.post(url, {"accent": "#0f5132", "mini_page": "/pages/pay/pay"})
    assert fresh(world.app).cashier_layout == {"accent": "#0f5132", "mini_page": "/pages/pay/pay"}
    assert operator.post(url, {"accent": "#0f5132", "mini_page": "https://x"}).status_code == 200


def test_an_active_account_gets_another_name_without_a_second_person(operator: Client, world: World) -> None:
    before = fresh(world.account)
    url = f"/admin/merchants/paymentaccount/{before.pk}/rename/"
    assert operator.post(url, {"name": " "}).status_code == 200
    assert operator.post(url, {"name": "Alipay, contract of 2027"}).status_code == 302
    found = fresh(world.account)
    assert (found.name, found.config_version) == ("Alipay, contract of 2027", before.config_version)
    event = Event.objects.get(type="paymentaccount.renamed")
    assert (event.actor, event.detail["before"]) == ("staff:operator", before.name)
    assert signed_in(make_staff("finance")).post(url, {"name": "mine"}).status_code == 403


def test_a_time_zone_has_to_exist(operator: Client) -> None:
    add = "/admin/merchants/merchant/add/"
    page = operator.post(add, {"name": "Riverside", "timezone": "Mars/Phobos"})
    assert "No such time zone" in page.content.decode()
    assert not Merchant.objects.filter(name="Riverside").exists()
    assert operator.post(add, {"name": "Riverside", "timezone": "Asia/Tokyo"}).status_code == 302
    assert Merchant.objects.get(name="Riverside").timezone == "Asia/Tokyo"


def test_history_names_parameters_and_methods_as_the_forms_do(
    operator: Client, world: World, key_pair: tuple[str, str]
) -> None:
    operator.post(f"{ADD}?merchant={world.merchant.pk}&channel=alipay", alipay_form(key_pair))
    account = PaymentAccount.objects.get(name="Alipay of Riverside")
    offering.account_methods_set(account=account, methods=["alipay_qr", "alipay_wap"], actor="staff:ann")
    changed = {**account.config, "read_timeout": 9}
    services.account_update_config(account=account, config=changed, actor="system")
    page = operator.get(f"/admin/merchants/paymentaccount/{account.pk}/change/").content.decode()
    history = page[page.index("pc-line") :]
    assert "Alipay (QR code), Alipay (mobile web)" in history
    assert "Staff ann" in history
    assert "read_timeout" not in history
    assert "Answer limit (seconds)" in history
