"""Who keeps which staff: operators add people who confirm nothing, superusers everybody."""

from __future__ import annotations

import pytest
from django.test import Client

from merchants.admin.staff import KEPT_BY_OPERATORS
from merchants.models import Role, User
from merchants.roles import ROLE_PERMISSIONS
from paycenter.models import Event
from paycenter.staff.security import MONEY_ROLES
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff, signed_in

ADD = "/admin/merchants/user/add/"
PASSWORD = "a long one, 47 windows"


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_staff("operator"))


def person(role: str, **more: object) -> dict[str, object]:
    return {"username": "li.na", "role": role, "password1": PASSWORD, "password2": PASSWORD, **more}


def change_url(user: User) -> str:
    return f"/admin/merchants/user/{user.pk}/change/"


def test_an_operator_adds_a_merchants_person_who_can_sign_in(operator: Client, world: World) -> None:
    assert operator.post(ADD, person("merchant", merchant=world.merchant.pk)).status_code == 302
    made = User.objects.get(username="li.na")
    assert (made.role, made.merchant, made.is_staff, made.is_superuser) == ("merchant", world.merchant, True, False)
    login = Client().post("/admin/login/", {"username": "li.na", "password": PASSWORD, "next": "/admin/"})
    assert (login.status_code, login["Location"]) == (302, "/admin/")
    assert Event.objects.get(type="user.created").actor == "staff:operator"


@pytest.mark.parametrize("role", ["operator", "finance"])
def test_an_operator_cannot_add_who_could_confirm_their_changes(operator: Client, role: str) -> None:
    page = operator.post(ADD, person(role))
    assert page.status_code == 200
    assert not User.objects.filter(username="li.na").exists()


def test_whom_operators_keep_neither_confirms_nor_moves_money() -> None:
    assert not set(KEPT_BY_OPERATORS) & set(MONEY_ROLES)
    for role in KEPT_BY_OPERATORS:
        keeps_staff = {"merchants.add_user", "merchants.change_user"} & ROLE_PERMISSIONS[role]
        assert not keeps_staff, role
        assert not [p for p in ROLE_PERMISSIONS[role] if ".confirm_" in p], role


@pytest.mark.parametrize(("role", "boss"), [("finance", False), ("operator", False), ("auditor", True)])
def test_an_operator_touches_neither_money_roles_nor_superusers(operator: Client, role: str, boss: bool) -> None:
    other = make_staff(role, username="other", is_superuser=boss)
    operator.post(change_url(other), {"username": "other", "role": "auditor"})
    operator.post(f"/admin/merchants/user/{other.pk}/password/", {"password1": PASSWORD, "password2": PASSWORD})
    operator.post(f"/admin/merchants/user/{other.pk}/reset-factor/")
    found = fresh(other)
    assert (found.role, found.is_superuser, found.check_password(PASSWORD)) == (role, boss, False)
    assert not Event.objects.filter(type__startswith="user.").exists()


def test_an_operator_promotes_nobody(operator: Client) -> None:
    clerk = make_staff("service", username="clerk")
    ask = {"username": "clerk", "is_active": "on", "is_superuser": "on", "is_staff": "on"}
    assert operator.post(change_url(clerk), {**ask, "role": "finance"}).status_code == 200
    assert operator.post(change_url(clerk), {**ask, "role": "auditor"}).status_code == 302
    found = fresh(clerk)
    assert (found.role, found.is_superuser) == ("auditor", False)


def test_a_superuser_adds_finance(db: None) -> None:
    root = signed_in(make_staff("operator", username="root", is_superuser=True))
    assert root.post(ADD, person("finance")).status_code == 302
    assert User.objects.get(username="li.na").role == Role.FINANCE


@pytest.mark.parametrize("role", ["finance", "service", "auditor"])
def test_others_add_nobody(db: None, role: str) -> None:
    assert signed_in(make_staff(role)).post(ADD, person("service")).status_code == 403
