"""Too many wrong passwords: who is locked out, who is not, who is told, and who unlocks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.test import Client
from django.utils import timezone, translation
from django.utils.translation import gettext
from django_otp.plugins.otp_totp.models import TOTPDevice

from merchants.models import Letter, User
from notifications.models import Alert
from paycenter.models import Event
from paycenter.staff.codes import new_recovery_codes
from tests.fakes.staff import PASSWORD, make_staff, signed_in
from tests.paycenter.staff.test_second_factor import code_of

pytestmark = pytest.mark.django_db
OFFICE, ELSEWHERE = "203.0.113.5", "198.51.100.9"


@pytest.fixture
def person() -> User:
    return make_staff("service", email="clerk@example.com")


def tries(name: str, password: str, address: str = OFFICE, code: str = "") -> int:
    data = {"username": name, "password": password, "otp_token": code, "next": "/admin/"}
    return Client(REMOTE_ADDR=address).post("/admin/login/", data).status_code


def failed(count: int, **of: str) -> None:
    values = {"username": "service", "ip_address": ELSEWHERE, "user_agent": "x", **of}
    AccessAttempt.objects.create(failures_since_start=count, attempt_time=timezone.now(), **values)


def known(user: User, address: str = OFFICE) -> None:
    client = Client(REMOTE_ADDR=address)
    client.force_login(user, backend="merchants.roles.RoleBackend")
    client.get("/admin/")


def test_the_name_is_locked_at_that_address_and_others_of_the_office_are_not(person: User) -> None:
    make_staff("auditor")
    failed(9, ip_address=OFFICE)
    assert tries("service", "wrong") == 429
    assert tries("service", PASSWORD) == 429
    assert tries("auditor", PASSWORD) == 302
    assert tries("service", PASSWORD, ELSEWHERE) == 302


def test_a_flood_from_everywhere_leaves_the_person_where_they_work(person: User, settings: Any) -> None:
    known(person)
    for number in range(6):
        failed(9, ip_address=f"192.0.2.{number}")
    assert tries("service", PASSWORD, ELSEWHERE) == 429
    assert tries("service", PASSWORD, OFFICE) == 302


def test_one_address_that_tries_all_names_is_stopped_but_not_who_works_there(person: User) -> None:
    known(person)
    make_staff("auditor")
    for number in range(25):
        failed(9, username=f"name{number}", ip_address=OFFICE)
    assert tries("auditor", PASSWORD) == 429
    assert tries("service", PASSWORD) == 302


def test_the_answer_is_the_same_for_a_name_that_does_not_exist(person: User) -> None:
    def page(name: str) -> tuple[int, str]:
        answer = Client(REMOTE_ADDR=OFFICE).post("/admin/login/", {"username": name, "password": "wrong"})
        return answer.status_code, answer.content.decode().replace(name, "")

    first, second = page("service"), page("nobody!")
    assert first[0] == second[0] == 200
    for name in ("service", "nobody!"):
        failed(9, username=name, ip_address=OFFICE)
    assert page("service")[0] == page("nobody!")[0] == 429
    assert page("service")[1] == page("nobody!")[1]


def test_the_person_and_the_operators_are_told_once(person: User, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    failed(10, ip_address=OFFICE)
    failed(10, username="nobody", ip_address=OFFICE)
    failed(10, username="nobody2", ip_address=OFFICE)
    for name in ("service", "service", "nobody", "nobody2"):
        tries(name, "wrong")
    assert [letter.address for letter in Letter.objects.all()] == ["clerk@example.com"]
    titles = list(Alert.objects.filter(kind="security").values_list("title", "count"))
    assert len(titles) == 2


def test_an_operator_unlocks(person: User) -> None:
    failed(10, ip_address=OFFICE)
    assert tries("service", PASSWORD) == 429
    client = signed_in(make_staff("operator"))
    page = client.get(f"/admin/merchants/user/{person.pk}/change/").content.decode()
    assert OFFICE in page
    client.post(f"/admin/merchants/user/{person.pk}/unlock/")
    assert tries("service", PASSWORD) == 302
    assert Event.objects.get(type="user.unlocked").actor == "staff:operator"


def signs_in(code: str = "") -> str:
    """What the first page says, some hours later."""
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(hours=5))
    client = Client(REMOTE_ADDR=OFFICE, headers={"accept-language": "en"})
    data = {"username": "service", "password": PASSWORD, "otp_token": code, "next": "/admin/"}
    return str(client.post("/admin/login/", data, follow=True).content.decode())


def test_who_signs_in_is_told_what_failed_meanwhile(person: User) -> None:
    for _try in range(3):
        tries("service", "wrong", ELSEWHERE)
    page = signs_in()
    assert "3 sign-ins with your name failed" in page
    assert "your right password" not in page
    assert "with your name failed" not in signs_in()


@pytest.mark.parametrize("code", ["000000", ""])
def test_a_right_password_without_the_right_code_is_told_as_what_it_is(person: User, code: str) -> None:
    TOTPDevice.objects.create(user=person, name="app", confirmed=True)
    tries("service", "wrong", ELSEWHERE, code)
    tries("service", PASSWORD, ELSEWHERE, code)
    assert list(Event.objects.filter(object_type="user").order_by("pk").values_list("type", flat=True)) == [
        "user.sign_in_failed", "user.sign_in_code_failed",
    ]  # fmt: skip
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    page = signs_in(code_of(TOTPDevice.objects.get()))
    assert "2 sign-ins with your name failed" in page
    assert "1 of them gave your right password" in page


def test_wrong_codes_lock_out_like_wrong_passwords(person: User, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    device = TOTPDevice.objects.create(user=person, name="app", confirmed=True)
    failed(9, ip_address=OFFICE)
    recovery = new_recovery_codes(person)[0]
    assert tries("service", PASSWORD, OFFICE, recovery[:-1] + "?") == 429
    assert recovery[:-1] not in str(list(AccessAttempt.objects.values()))
    letter = Letter.objects.get()
    assert letter.address == "clerk@example.com"
    with translation.override(settings.LANGUAGE_CODE):
        assert gettext("The password was the right one. If it was not you, change it at once.") in letter.text
    assert Event.objects.get(type="user.sign_in_code_failed").detail["locked"]
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    assert tries("service", PASSWORD, OFFICE, code_of(device)) == 429
