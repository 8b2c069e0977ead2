"""Signing in: roles and entrances, the second factor, recovery codes, lock-out."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from merchants.changes import app_open_request
from merchants.models import User
from paycenter.models import Event
from paycenter.staff.codes import new_recovery_codes
from paycenter.staff.models import RecoveryCodes
from tests import factories
from tests.fakes.staff import PASSWORD, make_staff, signed_in
from tests.merchants.admin.walk import OURS, snapshot

LOGIN = "/admin/login/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def required(settings: Any) -> None:
    settings.REQUIRE_TOTP = True


def code_of(device: TOTPDevice, *, ahead: int = 0) -> str:
    """What the authenticator app shows, `ahead` steps from now."""
    return f"{totp(device.bin_key, step=device.step, drift=ahead):06d}"


def sign_in(client: Client, name: str, token: str = "", password: str = PASSWORD) -> Any:
    data = {"username": name, "password": password, "otp_token": token, "next": "/admin/"}
    return client.post(LOGIN, data, headers={"accept-language": "en"})


def enrolled(user: User) -> TOTPDevice:
    return TOTPDevice.objects.create(user=user, name="app", confirmed=True)


def test_without_the_setting_a_password_is_enough() -> None:
    make_staff("operator")
    client = Client()
    assert sign_in(client, "operator").status_code == 302
    assert client.get("/admin/").status_code == 200


@pytest.mark.parametrize("role", ["operator", "finance", "owner"])
def test_who_moves_money_is_sent_to_set_it_up_first(required: None, role: str) -> None:
    """Whatever is asked for; what is posted does nothing, where it would with a second factor."""
    merchant = factories.make_merchant()
    change = app_open_request(
        app=factories.make_app(merchant, is_active=False), user=make_staff("operator", username="asks"), reason="new"
    )
    person = make_staff(role, merchant=merchant if role == "owner" else None)
    posts = {
        "operator": ("/admin/merchants/merchant/add/", {"name": "Yi", "short_name": "Y"}),
        "finance": (f"/admin/merchants/changerequest/{change.pk}/decide/reject/", {"reason": "no"}),
        "owner": ("/admin/merchants/user/add/", {"username": "li.na", "role": "merchant", "email": "l@example.com"}),
    }
    url, data = posts[role]
    client = Client()
    sign_in(client, role)
    answer = client.get("/admin/trades/trade/", follow=True)
    assert answer.redirect_chain[-1][0] == "/admin/security/enrol/"
    for page in ("/admin/trades/trade/", url):
        assert client.get(page).status_code == 302
    before = snapshot(OURS)
    assert client.post(url, data, follow=True).redirect_chain[-1][0] == "/admin/security/enrol/"
    assert snapshot(OURS) == before
    admitted = signed_in(person, device=enrolled(person))
    session = admitted.session
    session["code_at"] = int(time.time())
    session.save()
    admitted.post(url, data)
    assert snapshot(OURS) != before


@pytest.mark.parametrize("role", ["service", "auditor"])
def test_who_moves_no_money_works_without(required: None, role: str) -> None:
    make_staff(role)
    client = Client()
    sign_in(client, role)
    assert client.get("/admin/").status_code == 200


def test_a_superuser_needs_one_too(required: None) -> None:
    make_staff("auditor", is_superuser=True)
    client = Client()
    sign_in(client, "auditor")
    assert client.get("/admin/").status_code == 302


def test_setting_it_up_gives_access_and_recovery_codes(required: None) -> None:
    make_staff("operator")
    client = Client()
    sign_in(client, "operator")
    page = client.get("/admin/security/enrol/", headers={"accept-language": "en"})
    assert "data:image/svg+xml" in page.content.decode()
    device = TOTPDevice.objects.get()
    assert not device.confirmed
    wrong = client.post("/admin/security/enrol/", {"otp_token": "000000"})
    assert not TOTPDevice.objects.get().confirmed
    assert wrong.status_code == 200
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    done = client.post("/admin/security/enrol/", {"otp_token": code_of(device)})
    assert "no-store" in done["Cache-Control"]
    codes = re.findall(r'<span class="pc-mono">([a-z0-9-]{19})</span>', done.content.decode())
    assert len(set(codes)) == 10
    assert not any(code in str(list(RecoveryCodes.objects.values())) for code in codes)
    assert client.get("/admin/").status_code == 200
    assert Event.objects.filter(type="user.second_factor_added", actor="staff:operator").exists()


def test_a_key_that_another_session_was_shown_is_never_taken_into_use(required: None) -> None:
    make_staff("operator")
    thief, owner = Client(), Client()
    for client in (thief, owner):
        sign_in(client, "operator")
    thief.get("/admin/security/enrol/")
    seen = TOTPDevice.objects.get()
    owner.get("/admin/security/enrol/")
    assert TOTPDevice.objects.get().key != seen.key
    thief.post("/admin/security/enrol/", {"otp_token": code_of(seen)})
    owner.post("/admin/security/enrol/", {"otp_token": code_of(seen)})
    assert not TOTPDevice.objects.filter(confirmed=True).exists()


@pytest.mark.parametrize("token", ["", "000000", "abc", "0" * 16])
def test_a_wrong_or_missing_code_does_not_let_in(token: str) -> None:
    enrolled(make_staff("operator"))
    client = Client()
    answer = sign_in(client, "operator", token)
    assert answer.status_code == 200
    assert re.search(r'errorlist[^>]*id="id_otp_token_error"|id_otp_token', answer.content.decode())
    assert client.get("/admin/").status_code == 302


def test_the_right_code_lets_in_and_works_once() -> None:
    device = enrolled(make_staff("operator"))
    token = code_of(device)
    assert sign_in(Client(), "operator", token).status_code == 302
    assert sign_in(Client(), "operator", token).status_code == 200


def test_a_code_without_the_password_is_worth_nothing() -> None:
    device = enrolled(make_staff("operator"))
    answer = sign_in(Client(), "operator", code_of(device), password="wrong")
    assert answer.status_code == 200


def test_a_recovery_code_lets_in_once() -> None:
    user = make_staff("operator")
    enrolled(user)
    code = new_recovery_codes(user)[3]
    assert sign_in(Client(), "operator", code).status_code == 302
    assert sign_in(Client(), "operator", code).status_code == 200


def test_a_session_from_before_the_second_factor_is_not_enough() -> None:
    user = make_staff("service")
    client = signed_in(user)
    assert client.get("/admin/").status_code == 200
    device = enrolled(user)
    assert client.get("/admin/").status_code == 302
    assert signed_in(user, device=device).get("/admin/").status_code == 200


def test_somebody_with_a_device_cannot_enrol_another_one_without_it() -> None:
    user = make_staff("operator")
    enrolled(user)
    client = signed_in(user)
    assert client.get("/admin/security/enrol/")["Location"] == "/admin/security/"
    client.post("/admin/security/enrol/", {"otp_token": "123456"})
    assert TOTPDevice.objects.count() == 1


def test_turning_it_off_takes_a_code_and_is_not_for_who_needs_it(settings: Any) -> None:
    user = make_staff("operator")
    device = enrolled(user)
    client = signed_in(user, device=device)
    for act in ("remove", "recovery"):
        client.post(f"/admin/security/{act}/", {"otp_token": "000000"})
        assert Event.objects.filter(type="user.code_failed", detail__path=f"/admin/security/{act}/").count() == 1
    assert TOTPDevice.objects.exists()
    assert not RecoveryCodes.objects.exists()
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    settings.REQUIRE_TOTP = True
    client.post("/admin/security/remove/", {"otp_token": code_of(device)})
    assert TOTPDevice.objects.exists()
    settings.REQUIRE_TOTP = False
    TOTPDevice.objects.update(last_t=-1)
    client.post("/admin/security/remove/", {"otp_token": code_of(device)})
    assert not TOTPDevice.objects.exists()


def test_the_portal_admits_tenants_only_and_always_wants_the_second_factor(settings: Any) -> None:
    settings.ENTRANCE = "portal"
    make_staff("operator")
    merchant = make_staff("merchant", merchant=factories.make_merchant())
    make_staff("auditor", username="root", is_superuser=True)
    for name in ("operator", "root"):
        client = Client()
        assert sign_in(client, name).status_code == 200
        assert client.get("/admin/").status_code == 302
    assert signed_in(User.objects.get(username="operator")).get("/admin/").status_code == 302
    client = Client()
    sign_in(client, "merchant")
    assert client.get("/admin/", follow=True).redirect_chain[-1][0] == "/admin/security/enrol/"
    device = enrolled(merchant)
    assert signed_in(merchant, device=device).get("/admin/").status_code == 200


def test_ten_wrong_passwords_lock_the_name_out() -> None:
    make_staff("operator")
    client = Client()
    for _try in range(10):
        sign_in(client, "operator", password="wrong")
    answer = sign_in(client, "operator")
    assert answer.status_code == 429
    assert "_auth_user_id" not in client.session


def test_people_who_are_not_staff_or_inactive_stay_out() -> None:
    make_staff("operator", is_staff=False)
    make_staff("finance", is_active=False)
    for name in ("operator", "finance"):
        client = Client()
        sign_in(client, name)
        assert client.get("/admin/").status_code == 302


def test_every_staff_page_carries_the_policy_against_foreign_script() -> None:
    answer = signed_in(make_staff("operator")).get("/admin/")
    policy = answer["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "frame-ancestors 'none'" in policy
    body = answer.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>\s*\S", body)
    assert not re.search(r"\son(click|load|submit|change)=", body)


def test_the_landing_page_stays_within_its_queries(django_assert_max_num_queries: Any) -> None:
    client = signed_in(make_staff("operator"))
    client.get("/admin/")
    with django_assert_max_num_queries(12):
        assert client.get("/admin/").status_code == 200
