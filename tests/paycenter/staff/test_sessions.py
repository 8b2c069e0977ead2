"""Sessions of staff: the list, ending them, their limits, and passwords."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client

from merchants.models import User
from paycenter.models import Event
from paycenter.staff import sessions
from paycenter.staff.models import PasswordUsed, StaffSession
from tests.fakes.staff import PASSWORD, make_staff, signed_in

pytestmark = pytest.mark.django_db
SECURITY = "/admin/security/"
ANOTHER = "quite another phrase, 12"


@pytest.fixture
def person() -> User:
    return make_staff("service")


def browser(user: User, agent: str = "Mozilla/5.0 (Windows NT 10.0) Chrome/130.0") -> Client:
    client = signed_in(user)
    client.get("/admin/", headers={"user-agent": agent})
    return client


def is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def test_a_person_sees_where_they_are_signed_in_and_ends_one(person: User) -> None:
    here, there = browser(person), browser(person, "Mozilla/5.0 (iPhone) Safari/604.1")
    page = here.get(SECURITY).content.decode()
    assert "Chrome · Windows" in page
    assert "Safari · iPhone" in page
    lost = StaffSession.objects.get(user_agent__contains="iPhone")
    here.post(f"{SECURITY}sessions/end/", {"session": lost.pk})
    assert (is_in(here), is_in(there)) == (True, False)
    assert Event.objects.filter(type="user.session_ended", actor="staff:service").exists()


def test_nobody_ends_somebody_elses_session(person: User) -> None:
    theirs, mine = browser(person), browser(make_staff("auditor"))
    mine.post(f"{SECURITY}sessions/end/", {"session": StaffSession.objects.get(user=person).pk})
    mine.post(f"{SECURITY}sessions/end-others/")
    assert is_in(theirs)


def test_all_others_end_at_once_even_those_not_on_the_list(person: User) -> None:
    here, there, unlisted = browser(person), browser(person), signed_in(person)
    here.post(f"{SECURITY}sessions/end-others/")
    assert (is_in(here), is_in(there), is_in(unlisted)) == (True, False, False)


def test_signing_out_takes_the_session_off_the_list(person: User) -> None:
    client = browser(person)
    client.post("/admin/logout/")
    assert not StaffSession.objects.exists()


@pytest.mark.parametrize("change", [{"role": "auditor"}, {"is_superuser": True}, {"session_epoch": 1}])
def test_another_reach_ends_every_session(person: User, change: dict[str, Any]) -> None:
    client = browser(person)
    User.objects.filter(pk=person.pk).update(**change)
    assert not is_in(client)


def test_another_password_ends_the_other_sessions_and_is_no_earlier_one(person: User) -> None:
    person.set_password(PASSWORD)
    person.save()
    here, there = browser(person), browser(person)

    def change(old: str, new: str) -> int:
        data = {"old_password": old, "new_password1": new, "new_password2": new}
        return here.post("/admin/password_change/", data).status_code

    assert change(PASSWORD, PASSWORD) == 200
    assert change(PASSWORD, "too short-1") == 200
    assert change(PASSWORD, ANOTHER) == 302
    assert (is_in(here), is_in(there)) == (True, False)
    assert change(ANOTHER, PASSWORD) == 200
    assert Event.objects.filter(type="user.password_changed").count() == 1
    assert PASSWORD not in str(list(PasswordUsed.objects.values()))


@pytest.mark.parametrize(
    ("key", "setting"), [("staff_seen", "SESSION_IDLE_SECONDS"), ("staff_since", "SESSION_COOKIE_AGE")]
)
def test_a_session_ends_when_idle_and_when_old(person: User, settings: Any, key: str, setting: str) -> None:
    client = browser(person)
    session = client.session
    session[key] = int(time.time()) - getattr(settings, setting) - 1
    session.save()
    answer = client.post("/admin/security/sessions/end-others/")
    assert (answer.status_code, answer["Location"][:13]) == (302, "/admin/login/")
    assert not is_in(client)
    assert not StaffSession.objects.exists()


def test_the_row_is_written_once_a_minute_only(person: User) -> None:
    client = browser(person)
    client.get(SECURITY)
    before = StaffSession.objects.get().seen_at
    client.get(SECURITY)
    assert StaffSession.objects.get().seen_at == before
    session = client.session
    session["staff_seen"] = int(time.time()) - 61
    session.save()
    client.get(SECURITY)
    assert StaffSession.objects.get().seen_at > before


def test_rows_of_sessions_long_over_are_forgotten(person: User, settings: Any) -> None:
    browser(person)
    assert sessions.forget_ended() == 0
    settings.SESSION_COOKIE_AGE = -1
    assert sessions.forget_ended() == 1
