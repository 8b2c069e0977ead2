"""Links with which somebody chooses a password: made, sent, taken back, used once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from merchants.models import ChangeRequest, Invitation, User
from merchants.people.mail import is_set_up, mail_person, tell_person
from merchants.people.reach import keeps, needs_second
from merchants.states import ChangeState
from paycenter.errors import TransitionRefused
from paycenter.staff import sessions
from paycenter.transitions import lock, record_event

NEEDS_ADDRESS = gettext_noop("An e-mail address is needed: links of this role are mailed and shown to nobody else.")
LINK_MADE = gettext_noop("a link for a new password was made")
Kind, Purpose = ChangeRequest.Kind, Invitation.Purpose


def digest_of(secret: str) -> str:
    """What is kept of a link's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def purpose_for(person: User) -> str:
    """Whether a link would be this person's first, or for another password."""
    if person.is_active or person.has_usable_password():
        return Purpose.PASSWORD
    joined = person.invitations.filter(purpose=Purpose.JOIN, used_at__isnull=False).exists()
    return Purpose.PASSWORD if joined else Purpose.JOIN


def is_granted(person: User) -> bool:
    """Whether a second person agreed to the next link of somebody who needs that.

    Each agreement is good for one link that is used, and for no longer than a link would work.
    """
    if not needs_second(person.role, is_superuser=person.is_superuser):
        return True
    used = person.invitations.aggregate(at=Max("used_at"))["at"]
    if person.has_usable_password():
        kinds = {Kind.STAFF_PASSWORD}
    else:  # not here yet, or risen to a role in which the old password is worth nothing
        kinds = {Kind.STAFF_ROLE, Kind.STAFF_JOIN if purpose_for(person) == Purpose.JOIN else Kind.STAFF_PASSWORD}
    since = timezone.now() - timedelta(hours=settings.INVITATION_HOURS)
    agreed = ChangeRequest.objects.filter(
        person=person, kind__in=kinds, state=ChangeState.CONFIRMED, decided_at__gt=since
    )
    return (agreed.filter(decided_at__gt=used) if used else agreed).exists()


def is_mailed_only(role: str, *, is_superuser: bool = False) -> bool:
    """Whether nobody but its owner reads a link of somebody of this role: it goes by mail, where that is set up."""
    return is_set_up() and needs_second(role, is_superuser=is_superuser)


@transaction.atomic
def invitation_issue(*, person: User, by: User) -> str:
    """A fresh link secret for this person, which ends the older one; shown this once and kept nowhere.

    Raises TransitionRefused for whom `by` does not keep, for who is switched off, where a second person has not
    agreed lately, and where the link could only go to an address that is not known.
    """
    locked = _kept(person, by)
    purpose = purpose_for(locked)
    if purpose == Purpose.PASSWORD and not locked.is_active:
        raise TransitionRefused(_("This person is switched off."))
    if not is_granted(locked):
        raise TransitionRefused(_("A second person has to confirm this first."))
    if not locked.email and is_mailed_only(locked.role, is_superuser=locked.is_superuser):
        raise TransitionRefused(_(NEEDS_ADDRESS))
    now, secret = timezone.now(), secrets.token_urlsafe(32)
    Invitation.objects.filter(person=locked, used_at=None, revoked_at=None).update(revoked_at=now)
    made = Invitation.objects.create(
        person=locked, purpose=purpose, digest=digest_of(secret), created_by=by, created_at=now,
        expires_at=now + timedelta(hours=settings.INVITATION_HOURS),
    )  # fmt: skip
    _event(locked, "user.invited" if purpose == Purpose.JOIN else "user.password_link", by, until=made.expires_at)
    if purpose == Purpose.PASSWORD:
        tell_person(locked, by.get_username(), LINK_MADE)
    return secret


@transaction.atomic
def invitation_mail(*, person: User, link: str) -> bool:
    """Send the link to the person; False where mail is not set up or the person has no address."""
    subject = _("Your access to the Payment Center")
    text = _("Hello %(name)s,\n\nchoose your password here: %(link)s\n\nThe link works once, within %(hours)d hours. "
             "If you did not expect it, tell your operator.")  # fmt: skip
    words = {"name": person.get_full_name() or person.username, "link": link, "hours": settings.INVITATION_HOURS}
    return mail_person(person, subject, text % words)


@transaction.atomic
def invitation_revoke(*, person: User, by: User) -> None:
    """Make the open link worthless. Raises TransitionRefused when there is none, or for whom `by` does not keep."""
    locked = _kept(person, by)
    open_ones = Invitation.objects.filter(person=locked, used_at=None, revoked_at=None)
    if not open_ones.update(revoked_at=timezone.now()):
        raise TransitionRefused(_("There is no open link."))
    _event(locked, "user.invitation_revoked", by)


def invitation_find(secret: str) -> Invitation | None:
    """The invitation behind a link that still works."""
    found = Invitation.objects.select_related("person").filter(digest=digest_of(secret)).first()
    if found is None or not found.is_open:
        return None
    return found if found.purpose == Purpose.JOIN or found.person.is_active else None


@transaction.atomic
def invitation_accept(*, invitation: Invitation, password: str) -> User:
    """Take the password into use. Raises TransitionRefused when the link was used or taken back meanwhile."""
    person = lock(User, pk=invitation.person_id)
    locked = lock(Invitation, pk=invitation.pk)
    if not locked.is_open or not (locked.purpose == Purpose.JOIN or person.is_active):
        raise TransitionRefused(_("This link is not valid any more."))
    locked.used_at = timezone.now()
    locked.save(update_fields=["used_at"])
    person.set_password(password)
    person.is_active = True
    person.save()
    sessions.end_all(person)
    word = "user.joined" if locked.purpose == Purpose.JOIN else "user.password_changed"
    _event(person, word, person)
    return person


def _kept(person: User, by: User) -> User:
    locked = lock(User, pk=person.pk)
    if not keeps(by, locked):
        raise TransitionRefused(_("You do not keep this person."))
    return locked


def _event(person: User, word: str, by: User, **detail: Any) -> None:
    shown = {name: value.isoformat() for name, value in detail.items()}
    record_event(
        person, word, actor=f"staff:{by.get_username()}",
        detail={"username": person.username, "role": person.role, **shown},
    )  # fmt: skip
