"""Writes about staff. What lets in anybody but a clerk, or makes somebody more than that, is a draft until a second
person confirms it (`merchants.changes`); everything leaves an event with before and after."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from merchants.changes import ChangeKind, change_kind, change_request
from merchants.models import App, ChangeRequest, Invitation, Merchant, Role, User
from merchants.people.invitations import NEEDS_ADDRESS, is_mailed_only, purpose_for
from merchants.people.mail import tell_person
from merchants.people.reach import keeps, kept_roles, needs_second, tenant_values
from paycenter.errors import TransitionRefused
from paycenter.mask_patterns import hide_middle
from paycenter.staff import sessions
from paycenter.staff.codes import forget_devices
from paycenter.transitions import lock, record_event

Kind = ChangeRequest.Kind
# What decides over somebody's reach, or over where links and notices go.
GUARDED = ("role", "merchant_id", "app_id", "is_superuser", "email", "is_active")
PLAIN = ("first_name", "last_name")
_CHANGED = gettext_noop("your role, your address or whether you may sign in was changed")
_FACTOR_FORGOTTEN = gettext_noop("your two-step verification was reset")
_ASKED: Mapping[str, str] = {
    Kind.STAFF_ROLE: gettext_noop("a change of your role, your address or your sign-in waits for a second person"),
    Kind.STAFF_FACTOR: gettext_noop("a reset of your two-step verification waits for a second person"),
    Kind.STAFF_PASSWORD: gettext_noop("a link for a new password waits for a second person"),
}


@transaction.atomic
def staff_invite(
    *, by: User, username: str, role: str, reason: str, merchant: Merchant | None = None, app: App | None = None,
    **person: str,
) -> tuple[User, ChangeRequest | None]:  # fmt: skip
    """Open a person who cannot sign in yet; `person` holds `first_name`, `last_name`, `email`.

    The second value is the draft a second person has to confirm before a link can be made, for roles that
    take two. Raises TransitionRefused for a role beyond the reach of `by`.
    """
    if role not in kept_roles(by):
        raise TransitionRefused(_("You cannot invite people of this role."))
    if not person.get("email") and is_mailed_only(role):
        raise TransitionRefused(_(NEEDS_ADDRESS))
    made = User(username=username, role=role, is_staff=True, is_active=False, **person)
    for name, value in tenant_values(by, role, merchant, app).items():
        setattr(made, name, value)
    made.set_unusable_password()
    made.save()
    record_event(made, "user.created", actor=_actor(by), detail={"username": username, "role": role})
    if not needs_second(role):
        return made, None
    return made, change_request(
        kind=Kind.STAFF_JOIN, target=made, user=by, reason=reason, payload={}, before={}, after=_joining(made)
    )


def _joining(person: User) -> dict[str, Any]:
    """What the second person agrees to."""
    return {**_shown(_guarded_of(person)), "username": person.username, "name": person.get_full_name()}


@transaction.atomic
def staff_update(*, person: User, values: Mapping[str, Any], by: User, reason: str = "") -> ChangeRequest | None:
    """Change a person. `values` has keys of PLAIN and GUARDED; the draft is returned where one had to be made.

    Raises TransitionRefused for whom `by` does not keep, for a role beyond the reach of `by`, for one's own role,
    and without a reason where a second person is needed.
    """
    locked = lock(User, pk=person.pk)
    if not keeps(by, locked):
        raise TransitionRefused(_("You do not keep this person."))
    _store(locked, {n: values[n] for n in PLAIN if n in values}, _actor(by))
    before = _guarded_of(locked)
    changed = {n: values[n] for n in GUARDED if n in values and values[n] != before[n]}
    if not changed:
        return None
    _refuse_reach(locked, changed, by)
    if not draft_needed(locked, changed):
        _store(locked, changed, _actor(by))
        return None
    if not reason:
        raise TransitionRefused(_("Please give a reason: a second person has to confirm this."))
    _tell(locked, by.get_username(), _ASKED[Kind.STAFF_ROLE])
    return change_request(
        kind=Kind.STAFF_ROLE, target=locked, user=by, reason=reason, payload=changed,
        before=_shown({n: before[n] for n in changed}), after=_shown(changed),
    )  # fmt: skip


def draft_needed(person: User, changed: Mapping[str, Any]) -> bool:
    """Whether these changes of GUARDED need a second person: of and to a role that does; shutting out does not."""
    if dict(changed) == {"is_active": False}:
        return False
    now = needs_second(person.role, is_superuser=person.is_superuser)
    then = needs_second(changed.get("role", person.role), is_superuser=changed.get("is_superuser", person.is_superuser))
    return now or then


def _refuse_reach(person: User, changed: Mapping[str, Any], by: User) -> None:
    if person.pk == by.pk:
        raise TransitionRefused(_("Somebody else has to change what you may do."))
    if changed.get("role", person.role) not in kept_roles(by):
        raise TransitionRefused(_("You cannot give this role."))
    if "is_superuser" in changed and not by.is_superuser:
        raise TransitionRefused(_("Only superusers make superusers."))
    if by.role == Role.OWNER and not by.is_superuser and changed.get("merchant_id", by.merchant_id) != by.merchant_id:
        raise TransitionRefused(_("You keep people of your own merchant only."))


@transaction.atomic
def factor_reset_request(*, person: User, by: User, reason: str) -> ChangeRequest:
    """Ask to forget a person's second factor (lost phone). Raises TransitionRefused."""
    return _access_request(Kind.STAFF_FACTOR, person, by, reason, after={"second_factor": _("set up anew")})


@transaction.atomic
def password_link_request(*, person: User, by: User, reason: str) -> ChangeRequest:
    """Ask for a link with which somebody whom nobody alone lets in chooses a password: another one, or the first one
    where the agreement to the invitation came to nothing or is too old. Raises TransitionRefused."""
    if purpose_for(person) == Invitation.Purpose.JOIN:
        return _access_request(Kind.STAFF_JOIN, person, by, reason, after=_joining(person))
    return _access_request(Kind.STAFF_PASSWORD, person, by, reason, after={"password": _("chosen anew by a link")})


def _access_request(kind: str, person: User, by: User, reason: str, *, after: dict[str, Any]) -> ChangeRequest:
    if person.pk == by.pk or not keeps(by, lock(User, pk=person.pk)):
        raise TransitionRefused(_("You do not keep this person."))
    if kind in _ASKED:
        _tell(person, by.get_username(), _ASKED[kind])
    return change_request(kind=kind, target=person, user=by, reason=reason, payload={}, before={}, after=after)


def staff_sign_out(*, person: User, by: User) -> None:
    """End every session of a person. Raises TransitionRefused."""
    if not keeps(by, person):
        raise TransitionRefused(_("You do not keep this person."))
    sessions.end_all(person)
    record_event(person, "user.sessions_ended", actor=_actor(by), detail={"username": person.username})


def _store(person: User, values: Mapping[str, Any], actor: str) -> None:
    """Write what differs, with one event; a change of reach ends the person's sessions."""
    changed = sorted(n for n, value in values.items() if getattr(person, n) != value)
    if not changed:
        return
    before, was = _shown({n: getattr(person, n) for n in changed}), _guarded_of(person)
    for name in changed:
        setattr(person, name, values[name])
    person.save(update_fields=changed)
    if set(changed) & set(GUARDED):
        _tell(person, actor.removeprefix("staff:"), _CHANGED, address=was["email"])
        _end_access(person, was)
    after = _shown({n: getattr(person, n) for n in changed})
    detail = {"username": person.username, "changed": [n.removesuffix("_id") for n in changed],
              "before": _for_event(before), "after": _for_event(after)}  # fmt: skip
    record_event(person, "user.updated", actor=actor, detail=detail)


def _end_access(person: User, was: Mapping[str, Any]) -> None:
    """What was made for who they were, or sent to where they were, opens nothing of what they are now. A password
    that one person alone let them choose is worth nothing either in a role that takes two."""
    sessions.end_all(person)
    open_ones = Invitation.objects.filter(used_at=None, revoked_at=None)
    made = Q() if person.is_active else Q(created_by=person)  # they may have kept a link that they were shown
    open_ones.filter(Q(person=person) | made).update(revoked_at=timezone.now())
    risen = needs_second(person.role, is_superuser=person.is_superuser)
    if risen and not needs_second(was["role"], is_superuser=was["is_superuser"]):
        forget_devices(person)
        person.set_unusable_password()
        person.save(update_fields=["password"])


def _tell(person: User, who: str, what: str, *, address: str = "") -> None:
    """Tell the person, once they have been here; until then the invitation tells them."""
    if purpose_for(person) == Invitation.Purpose.PASSWORD:
        tell_person(person, who, what, address=address)


def _guarded_of(person: User) -> dict[str, Any]:
    return {name: getattr(person, name) for name in GUARDED}


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """As people compare it: names instead of keys."""
    shown = {name.removesuffix("_id"): value for name, value in values.items()}
    if shown.get("merchant"):
        shown["merchant"] = str(Merchant.objects.get(pk=shown["merchant"]))
    if shown.get("app"):
        shown["app"] = str(App.objects.get(pk=shown["app"]))
    return shown


def _for_event(shown: Mapping[str, Any]) -> dict[str, Any]:
    """As events keep it for ever: of an address the ends, and a mark by which one that is known can be recognised."""
    email = shown.get("email")
    if not email:
        return dict(shown)
    mark = salted_hmac("merchants.people.address", email.lower(), algorithm="sha256").hexdigest()[:12]
    return {**shown, "email": f"{hide_middle(email)} #{mark}"}


def _actor(user: User) -> str:
    return f"staff:{user.get_username()}"


def _version(person: User, _scope: str) -> str:
    return hashlib.sha256(json.dumps(_guarded_of(person)).encode()).hexdigest()


def _apply_join(person: User, _payload: Mapping[str, Any], _actor: str) -> None:
    """Nothing but the agreement: whoever keeps the person can make the link now."""
    if person.is_active:
        raise TransitionRefused(_("This person has signed in already."))


def _apply_factor(person: User, _payload: Mapping[str, Any], actor: str) -> None:
    forget_devices(person)
    sessions.end_all(person)
    record_event(person, "user.second_factor_reset", actor=actor, detail={"username": person.username})
    _tell(person, actor.removeprefix("staff:"), _FACTOR_FORGOTTEN)


def _apply_password(person: User, _payload: Mapping[str, Any], _actor: str) -> None:
    """Nothing but the agreement to make one link."""
    if not person.is_active:
        raise TransitionRefused(_("This person is switched off."))


for _code, _apply in ((Kind.STAFF_JOIN, _apply_join), (Kind.STAFF_ROLE, _store), (Kind.STAFF_FACTOR, _apply_factor),
                      (Kind.STAFF_PASSWORD, _apply_password)):  # fmt: skip
    change_kind(ChangeKind(code=_code, apply=_apply, version_of=_version, may_ask=keeps))
