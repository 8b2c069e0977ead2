"""Inviting and keeping staff: reach, links that work once, and the second person for who moves money."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from merchants.changes import change_confirm
from merchants.models import ChangeRequest, Invitation, Letter, Role, User
from merchants.people import mail as staff_mail
from merchants.people.invitations import invitation_issue
from merchants.people.reach import KEEPS, needs_second
from merchants.roles import ROLE_PERMISSIONS
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import PASSWORD, make_staff, signed_in

ADD = "/admin/merchants/user/add/"
NEW_PASSWORD = "a long one, 47 windows"


@pytest.fixture
def operator(db: None) -> User:
    return make_staff("operator")


def page_of(user: User, name: str = "change") -> str:
    return f"/admin/merchants/user/{user.pk}/{name}/"


def invited(by: Client, role: str, **more: Any) -> tuple[User | None, str]:
    """The person and the link shown, where one was."""
    if role == "merchant":
        more.setdefault("merchant", factories.make_merchant().pk)
    answer = by.post(ADD, {"username": "li.na", "role": role, "reason": "starts on Monday", **more}, follow=True)
    link = re.search(r"http://testserver(/admin/merchants/user/join/[\w-]+/)", answer.content.decode())
    return User.objects.filter(username="li.na").first(), link[1] if link else ""


def choose(link: str, password: str = NEW_PASSWORD) -> Any:
    return Client().post(link, {"new_password1": password, "new_password2": password})


def signs_in(name: str, password: str) -> bool:
    return Client().post("/admin/login/", {"username": name, "password": password}).status_code == 302


def test_somebody_is_invited_chooses_a_password_and_signs_in(operator: User, world: World) -> None:
    person, link = invited(signed_in(operator), "merchant", merchant=world.merchant.pk)
    assert person is not None
    assert (person.role, person.merchant, person.is_active) == ("merchant", world.merchant, False)
    assert Client().get(link).status_code == 200
    assert choose(link).status_code == 302
    assert signs_in("li.na", NEW_PASSWORD)
    assert choose(link, "another long one 48").status_code == 404
    words = list(Event.objects.filter(object_type="user").order_by("id").values_list("type", "actor"))
    asked = [("user.created", "staff:operator"), ("user.invited", "staff:operator")]
    assert words == [*asked, ("user.joined", "staff:li.na"), ("user.signed_in", "staff:li.na")]
    assert link.split("/")[-2] not in str(list(Invitation.objects.values()) + list(Event.objects.values()))


def test_the_link_is_shown_once(operator: User) -> None:
    client = signed_in(operator)
    person, link = invited(client, "merchant")
    assert person is not None
    assert link
    assert "join/" not in client.get(page_of(person, "link-shown"), follow=True).content.decode()
    assert link not in str(dict(client.session))


@pytest.mark.parametrize("how", ["too old", "resent", "revoked"])
def test_a_link_ends(operator: User, how: str) -> None:
    client = signed_in(operator)
    person, link = invited(client, "merchant")
    assert person is not None
    if how == "too old":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        client.post(page_of(person, "link" if how == "resent" else "revoke"))
    assert Client().get(link).status_code == 404
    assert choose(link).status_code == 404
    assert not fresh(person).is_active


def test_a_weak_password_is_refused_and_the_link_goes_on(operator: User) -> None:
    _person, link = invited(signed_in(operator), "merchant")
    for weak in ("short-1", "password1234", "123456789012", "li.na"):
        assert choose(link, weak).status_code == 200
    assert choose(link).status_code == 302


def test_a_link_is_mailed_where_mail_is_set_up(operator: User, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    _person, link = invited(signed_in(operator), "merchant", email="li.na@example.com")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM merchants_letter")
        assert link not in str(cursor.fetchall())
    assert staff_mail.send_due() == 1
    assert link in mail.outbox[0].body
    assert mail.outbox[0].to == ["li.na@example.com"]
    assert (staff_mail.send_due(), Letter.objects.count()) == (0, 0)


def test_the_portal_has_its_own_address_for_links(operator: User, world: World, settings: Any) -> None:
    settings.PORTAL_BASE_URL = "https://portal.example"
    data = {"username": "li.na", "role": "merchant", "merchant": world.merchant.pk}
    page = signed_in(operator).post(ADD, data, follow=True).content.decode()
    assert "https://portal.example/admin/merchants/user/join/" in page


@pytest.mark.parametrize("role", ["operator", "finance", "owner", "service", "auditor", "app"])
def test_all_but_clerks_come_in_through_two_people(operator: User, world: World, role: str) -> None:
    client = signed_in(operator)
    person, link = invited(client, role, merchant=world.merchant.pk, app=world.app.pk)
    assert person is not None
    assert not link
    client.post(page_of(person, "link"))
    with pytest.raises(TransitionRefused):
        invitation_issue(person=person, by=operator)
    assert not Invitation.objects.exists()
    change = ChangeRequest.objects.get(person=person)
    client.post(f"/admin/merchants/changerequest/{change.pk}/decide/confirm/")
    assert fresh(change).state == "pending"
    second = signed_in(make_staff("finance"))
    shown = second.get(f"/admin/merchants/changerequest/{change.pk}/change/").content.decode()
    assert "li.na" in shown
    second.post(f"/admin/merchants/changerequest/{change.pk}/decide/confirm/")
    page = client.post(page_of(person, "link"), follow=True).content.decode()
    assert re.search(r"/join/[\w-]+/", page)


@pytest.mark.parametrize("kind", ["staff_join", "staff_password"])
def test_an_agreement_to_a_link_is_good_for_as_long_as_a_link(operator: User, kind: str) -> None:
    client, second = signed_in(operator), make_staff("finance")
    if kind == "staff_join":
        person, _link = invited(client, "finance")
        assert person is not None
    else:
        person = make_staff("finance", username="li.na")
        client.post(page_of(person, "ask-link"), {"reason": "forgotten"})
    change_confirm(change=ChangeRequest.objects.get(kind=kind), user=second)
    ChangeRequest.objects.update(decided_at=timezone.now() - timedelta(hours=72, seconds=1))
    client.post(page_of(person, "link"))
    assert not Invitation.objects.exists()
    assert "dialog-link" in client.get(page_of(person)).content.decode()
    client.post(page_of(person, "ask-link"), {"reason": "once more"})
    change_confirm(change=ChangeRequest.objects.get(kind=kind, state="pending"), user=second)
    assert "/join/" in client.post(page_of(person, "link"), follow=True).content.decode()


def test_where_mail_is_set_up_the_link_of_who_moves_money_is_seen_by_nobody_else(operator: User, settings: Any) -> None:
    client, second = signed_in(operator), make_staff("finance")
    early, _link = invited(client, "finance")
    assert early is not None
    change_confirm(change=ChangeRequest.objects.get(), user=second)
    settings.EMAIL_HOST = "mail.example"
    page = client.post(page_of(early, "link"), follow=True).content.decode()
    assert "An e-mail address is needed" in page
    assert not Invitation.objects.exists()
    refused = client.post(ADD, {"username": "wang", "role": "finance", "reason": "starts"}).content.decode()
    assert "An e-mail address is needed" in refused
    assert not User.objects.filter(username="wang").exists()
    User.objects.filter(pk=early.pk).update(email="li.na@example.com")
    page = client.post(page_of(early, "link"), follow=True).content.decode()
    assert "on its way to li.na@example.com" in page
    assert "/join/" not in page
    assert "/join/" in Letter.objects.get().text


def test_without_a_reason_nobody_who_moves_money_is_asked_for(operator: User) -> None:
    signed_in(operator).post(ADD, {"username": "li.na", "role": "finance"})
    assert not User.objects.filter(username="li.na").exists()


@pytest.mark.parametrize("role", ["operator", "finance", "service", "auditor", "app"])
def test_an_owner_invites_nobody_beyond_the_own_merchant(world: World, role: str) -> None:
    owner = signed_in(make_staff("owner", merchant=world.merchant))
    person, _link = invited(owner, role, app=world.app.pk)
    assert person is None


def test_an_owners_clerk_belongs_to_the_owners_merchant_whatever_is_posted(world: World) -> None:
    other = factories.make_merchant()
    person, link = invited(signed_in(make_staff("owner", merchant=world.merchant)), "merchant", merchant=other.pk)
    assert person is not None
    assert link
    assert person.merchant == world.merchant


def test_an_owner_neither_sees_nor_touches_other_people(world: World) -> None:
    owner = signed_in(make_staff("owner", merchant=world.merchant))
    foreign = make_staff("merchant", merchant=factories.make_merchant(), username="foreign", is_active=False)
    for other in (foreign, make_staff("operator"), make_staff("service")):
        assert owner.get(page_of(other)).status_code == 404
        for act in ("link", "revoke", "ask-link", "reset-factor", "unlock", "sign-out", "change"):
            assert owner.post(page_of(other, act), {"role": "merchant", "reason": "mine"}).status_code == 404
    assert "foreign" not in owner.get("/admin/merchants/user/").content.decode()
    assert not Event.objects.filter(object_type="user").exists()


@pytest.mark.parametrize("role", ["finance", "service", "auditor"])
def test_others_invite_nobody(db: None, role: str) -> None:
    assert signed_in(make_staff(role)).post(ADD, {"username": "li.na", "role": "service"}).status_code == 403


def test_nobody_keeps_a_role_above_the_own() -> None:
    for keeper, kept in KEEPS.items():
        assert {"merchants.add_user", "merchants.change_user"} <= ROLE_PERMISSIONS[keeper]
        for role in kept:
            more = ROLE_PERMISSIONS[role] - ROLE_PERMISSIONS[keeper]
            assert keeper == Role.OPERATOR or not more, (keeper, role)
    for role, permissions in ROLE_PERMISSIONS.items():
        verbs = (".confirm_", ".approve_", ".accept_", ".settle_", "merchants.add_user", "refunds.add_", ".add_printed")
        if [p for p in permissions if any(verb in p for verb in verbs)]:
            assert needs_second(role), role


def test_a_role_that_moves_money_is_given_by_two_people(operator: User) -> None:
    clerk = make_staff("service", username="clerk")
    client = signed_in(operator)
    data = {"role": "finance", "is_active": "on", "reason": "moves to finance"}
    client.post(page_of(clerk), data)
    assert fresh(clerk).role == "service"
    change_confirm(change=ChangeRequest.objects.get(), user=make_staff("finance"))
    assert fresh(clerk).role == "finance"
    event = Event.objects.get(type="user.updated")
    assert (event.detail["before"], event.detail["after"]) == ({"role": "service"}, {"role": "finance"})
    client.post(page_of(clerk), {**data, "role": "service"})
    assert fresh(clerk).role == "finance"


def test_a_link_opens_nothing_of_what_somebody_became_later(operator: User) -> None:
    person, link = invited(signed_in(operator), "merchant")
    assert person is not None
    signed_in(operator).post(page_of(person), {"role": "finance", "reason": "moves to accounting"})
    change = ChangeRequest.objects.get(person=person)
    change_confirm(change=change, user=make_staff("operator", username="ben"))
    assert fresh(person).role == "finance"
    assert choose(link).status_code == 404
    assert not fresh(person).is_active


def test_a_line_break_in_a_name_does_not_stop_the_mail(operator: User, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    for number, subject in enumerate(("To confirm:\nX", "the next")):
        Letter.objects.create(
            person=operator, address=f"{number}@mail.example", subject=subject, text="x", next_try_at=timezone.now(),
            created_at=timezone.now(),
        )  # fmt: skip
    assert staff_mail.send_due() == 2
    assert [letter.subject for letter in mail.outbox] == ["To confirm: X", "the next"]


def test_nobody_changes_what_they_may_do_themselves(operator: User) -> None:
    client = signed_in(operator)
    client.post(page_of(operator), {"role": "finance", "is_active": "on", "reason": "more"})
    assert not ChangeRequest.objects.exists()
    assert client.post(page_of(operator, "reset-factor"), {"reason": "lost"}).status_code in (302, 403)
    assert not ChangeRequest.objects.exists()


def test_superusers_are_made_by_superusers_and_a_second_person(operator: User) -> None:
    clerk = make_staff("service", username="clerk")
    data = {"role": "service", "is_active": "on", "is_superuser": "on", "reason": "on call"}
    signed_in(operator).post(page_of(clerk), data)
    root = signed_in(make_staff("auditor", username="root", is_superuser=True))
    root.post(page_of(clerk), data)
    assert not fresh(clerk).is_superuser
    change = ChangeRequest.objects.get()
    root.post(f"/admin/merchants/changerequest/{change.pk}/decide/confirm/")
    assert not fresh(clerk).is_superuser
    change_confirm(change=change, user=operator)
    assert fresh(clerk).is_superuser


def test_shutting_somebody_out_takes_one_person_and_ends_the_sessions(operator: User) -> None:
    clerk = make_staff("finance", username="clerk")
    theirs = signed_in(clerk)
    assert theirs.get("/admin/").status_code == 200
    signed_in(operator).post(page_of(clerk), {"role": "finance"})
    assert not fresh(clerk).is_active
    assert theirs.get("/admin/").status_code == 302
    signed_in(operator).post(page_of(clerk), {"role": "finance", "is_active": "on", "reason": "back"})
    assert not fresh(clerk).is_active
    assert ChangeRequest.objects.get().after == {"is_active": True}


def test_a_lost_phone_is_forgotten_by_two_people(operator: User) -> None:
    person = make_staff("finance", username="lost")
    device = TOTPDevice.objects.create(user=person, name="app", confirmed=True)
    theirs = signed_in(person, device=device)
    assert theirs.get("/admin/").status_code == 200
    signed_in(operator).post(page_of(person, "reset-factor"), {"reason": "phone lost"})
    assert TOTPDevice.objects.exists()
    change = ChangeRequest.objects.get()
    with pytest.raises(TransitionRefused):
        change_confirm(change=change, user=person)
    change_confirm(change=change, user=make_staff("finance"))
    assert not TOTPDevice.objects.exists()
    assert theirs.get("/admin/").status_code == 302
    assert Event.objects.get(type="user.second_factor_reset").actor == "staff:finance"


def test_a_new_password_of_who_moves_money_needs_a_second_person_each_time(operator: User) -> None:
    person = make_staff("finance", username="li.na")
    client = signed_in(operator)
    client.post(page_of(person, "link"))
    assert not Invitation.objects.exists()
    client.post(page_of(person, "ask-link"), {"reason": "forgotten"})
    change_confirm(change=ChangeRequest.objects.get(), user=make_staff("finance"))
    page = client.post(page_of(person, "link"), follow=True).content.decode()
    link = re.search(r"/admin/merchants/user/join/[\w-]+/", page)
    assert link
    assert choose(link[0]).status_code == 302
    assert not signs_in("li.na", PASSWORD)
    assert signs_in("li.na", NEW_PASSWORD)
    client.post(page_of(person, "link"))
    assert Invitation.objects.count() == 1


def test_both_sides_of_a_change_are_told(operator: User, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    User.objects.filter(pk=operator.pk).update(email="asks@example.com")
    second = make_staff("finance", email="decides@example.com")
    make_staff("auditor", email="looks@example.com")
    invited(signed_in(operator), "finance", email="li.na@example.com")
    assert list(Letter.objects.values_list("address", flat=True)) == ["decides@example.com"]
    change = ChangeRequest.objects.get()
    change_confirm(change=change, user=second)
    assert Letter.objects.latest("pk").address == "asks@example.com"
    assert str(change.pk) in signed_in(operator).get("/admin/").content.decode()


def test_a_password_that_one_person_gave_is_worth_nothing_in_a_role_that_takes_two(operator: User) -> None:
    client = signed_in(operator)
    person, link = invited(client, "merchant")
    assert person is not None
    choose(link)
    client.post(page_of(person), {"role": "finance", "is_active": "on", "reason": "moves to finance"})
    change_confirm(change=ChangeRequest.objects.get(), user=make_staff("finance"))
    assert fresh(person).role == "finance"
    assert not signs_in("li.na", NEW_PASSWORD)
    page = client.post(page_of(person, "link"), follow=True).content.decode()
    again = re.search(r"/admin/merchants/user/join/[\w-]+/", page)
    assert again
    choose(again[0], "another long one 48")
    assert signs_in("li.na", "another long one 48")
    client.post(page_of(person, "link"))
    assert Invitation.objects.filter(used_at=None).count() == 0


@pytest.mark.parametrize("what", ["ask-link", "reset-factor", "change"])
def test_the_person_concerned_is_told_when_it_is_asked_for_and_when_it_is_done(
    operator: User, settings: Any, what: str
) -> None:
    settings.EMAIL_HOST = "mail.example"
    person = make_staff("auditor", username="li.na", email="li.na@example.com")
    asked = {"reason": "please", "role": "service", "is_active": "on", "email": "elsewhere@example.com"}
    signed_in(operator).post(page_of(person, what), asked)
    assert Letter.objects.get(person=person).address == "li.na@example.com"
    change_confirm(change=ChangeRequest.objects.get(), user=make_staff("finance"))
    if what == "ask-link":
        signed_in(operator).post(page_of(person, "link"))
    told = Letter.objects.filter(person=person, address="li.na@example.com", text__isnull=False)
    assert sum("join/" not in letter.text for letter in told) == 2
    assert not Letter.objects.filter(address="elsewhere@example.com").exists()


def test_events_keep_no_address_only_a_mark_of_it(operator: User) -> None:
    clerk = make_staff("merchant", merchant=factories.make_merchant(), username="clerk", email="li.na@example.com")
    data = {"role": "merchant", "merchant": clerk.merchant_id, "is_active": "on"}
    for address in ("lu.na@example.com", "li.na@example.com"):
        signed_in(operator).post(page_of(clerk), {**data, "email": address})
    assert fresh(clerk).email == "li.na@example.com"
    events = Event.objects.filter(type="user.updated").order_by("id")
    assert ".na@" not in str(list(events.values()))
    first, second = (event.detail for event in events)
    assert first["before"]["email"].startswith("l***@example.com")
    assert first["before"]["email"] == second["after"]["email"] != first["after"]["email"]


def test_who_is_shut_out_leaves_no_link_that_works(operator: User) -> None:
    person, link = invited(signed_in(make_staff("operator", username="gone")), "merchant")
    assert person is not None
    signed_in(operator).post(page_of(User.objects.get(username="gone")), {"role": "operator"})
    assert not User.objects.get(username="gone").is_active
    assert choose(link).status_code == 404
    assert not fresh(person).is_active


def test_changing_a_person_asks_for_the_code_again(operator: User) -> None:
    clerk = make_staff("service", username="clerk")
    device = TOTPDevice.objects.create(user=operator, name="app", confirmed=True)
    client = signed_in(operator, device=device)
    assert client.get(page_of(clerk)).status_code == 200
    asked = client.post(page_of(clerk), {"role": "service", "is_active": ""})
    assert "held_form" in asked.content.decode()
    assert fresh(clerk).is_active
