"""Mail to staff, where mail is set up (`PAYCENTER_SMTP_HOST`); elsewhere people look at the admin."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from merchants.people.models import Letter
from paycenter.staff.tenancy import name_for

if TYPE_CHECKING:
    from merchants.models import ChangeRequest, User

log = structlog.get_logger(__name__)
_BATCH, MAX_TRIES = 50, 5
_AGAIN = timedelta(minutes=5)


def is_set_up() -> bool:
    """Whether this installation sends mail at all."""
    return bool(settings.EMAIL_HOST)


def mail_person(person: User, subject: str, text: str, *, address: str = "") -> bool:
    """Put a mail into the outbox, with the caller's transaction; False where it cannot be sent."""
    address = address or person.email
    if not (is_set_up() and address):
        return False
    now = timezone.now()
    Letter.objects.create(
        person=person, address=address, subject=subject[:200], text=text, created_at=now, next_try_at=now
    )
    return True


def send_due() -> int:
    """Send what is due, each letter by one process only; answers how many were sent.

    A letter that cannot be sent is tried again later, and dropped after some tries.
    """
    sent = 0
    due = Letter.objects.filter(next_try_at__lte=timezone.now()).order_by("pk")
    for pk in list(due.values_list("pk", flat=True)[:_BATCH]):
        sent += _send(pk)
    return sent


def _send(pk: int) -> bool:
    now = timezone.now()
    # Moving the due time is the claim: a second process finds nothing due.
    if not Letter.objects.filter(pk=pk, next_try_at__lte=now).update(next_try_at=now + _AGAIN):
        return False
    letter = Letter.objects.get(pk=pk)
    try:
        subject = " ".join(letter.subject.split())  # a name in it may have a line break, which no header may
        EmailMessage(subject, letter.text, settings.DEFAULT_FROM_EMAIL, [letter.address]).send()
    except (OSError, ValueError) as exc:  # SMTPException, a header that mail cannot carry
        log.warning("mail to staff not sent", letter=pk, error=type(exc).__name__)
        letter.tries += 1
        if letter.tries >= MAX_TRIES:
            letter.delete()
        else:
            Letter.objects.filter(pk=pk).update(tries=letter.tries)
        return False
    letter.delete()
    return True


def tell_deciders(change: ChangeRequest) -> None:
    """Tell everybody who may decide that a change waits for a second person."""
    from merchants.people.reach import deciders  # reach knows the roles, which know the models

    if not is_set_up():
        return
    with translation.override(settings.LANGUAGE_CODE), transaction.atomic():
        subject = _("To confirm: %(change)s") % {"change": change}
        text = _("%(who)s asks for this change: %(change)s\nReason: %(reason)s\n\nSomebody else has to confirm it, "
                 "under “Changes to confirm” in the admin.")  # fmt: skip
        words = {"who": change.requested_by.get_username(), "change": change, "reason": change.reason}
        for person in deciders(change):
            mail_person(person, subject, text % words)


def tell_person(person: User, who: str, what: str, *, address: str = "") -> None:
    """Tell somebody what was done, or asked for, about their own access: `what` as `gettext_noop` knows it.

    `address` where theirs is another one by now.
    """
    with translation.override(settings.LANGUAGE_CODE):
        text = _("Hello %(name)s,\n\nthis concerns your access to the Payment Center: %(what)s.\nBy: %(who)s\n\n"
                 "If you did not expect it, tell your operator at once.")  # fmt: skip
        words = {"name": person.get_full_name() or person.username, "what": _(what), "who": who}
        mail_person(person, _("Your access to the Payment Center"), text % words, address=address)


def tell_requester(change: ChangeRequest) -> None:
    """Tell who asked for a change what became of it."""
    with translation.override(settings.LANGUAGE_CODE):
        subject = _("%(change)s: %(state)s") % {"change": change, "state": change.get_state_display()}
        text = _("%(who)s decided on what you asked for: %(change)s\nIt is now: %(state)s\nComment: %(comment)s")
        words = {
            "who": name_for(change.requested_by, change.decided_by), "change": change,
            "state": change.get_state_display(), "comment": change.comment or "–",
        }  # fmt: skip
        mail_person(change.requested_by, subject, text % words)
