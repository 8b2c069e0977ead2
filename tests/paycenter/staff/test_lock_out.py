"""Too many wrong passwords: who is locked out, who is not, who is told, and who unlocks."""

from __future__ import annotations

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.test import Client
from django.utils import timezone

from merchants.models import Letter, User
from notifications.models import Alert
from paycenter.models import Event
from tests.fakes.staff import PASSWORD, make_staff, signed_in

pytestmark = pytest.mark.django_db
OFFICE, ELSEWHERE = "203.0.113.5", "198.51.100.9"


@pytest.fixture
def person() -> User:
    return make_staff("service", email="clerk@example.com")


def tries(name: str, password: str, address: str = OFFICE) -> int:
    data = {"username": name, "password": password, "next": "/admin/"}
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


def test_who_signs_in_is_told_what_failed_meanwhile(person: User) -> None:
    known(person)
    failed(3)
    client = signed_in(person)
    assert "3 sign-ins with your name failed" in client.get("/admin/").content.decode()
    assert "failed" not in client.get("/admin/security/").content.decode()
