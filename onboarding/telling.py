"""Who is told about an application: operators by an alert, the company by mail and on its page."""

from __future__ import annotations

import smtplib
from datetime import timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from merchants.models import Merchant, User
from notifications.alerts import alert
from onboarding.models import ApplicationVersion, Outcome, OwnerNotice
from onboarding.steps import SECTIONS
from paycenter.claims import claim_due
from paycenter.wakeup import wake

TASK = "onboarding.tasks.send_notices"
_LEASE = 60.0
# Seconds between tries; then it is given up, and the page alone tells.
_DELAYS = (60, 300, 1800, 7200, 28800)
_SUBMITTED = gettext_noop("%(merchant)s submitted its application (version %(number)s)")


def tell_operators(merchant: Merchant, version: ApplicationVersion) -> None:
    """An application waits to be reviewed."""
    alert(
        kind="onboarding", key=f"onboarding:{merchant.merchant_no}:{version.number}", title=_SUBMITTED,
        severity="info", merchant_no=merchant.merchant_no,
        context={"merchant": merchant.name, "number": version.number},
    )  # fmt: skip


def tell_company(merchant: Merchant, version: ApplicationVersion) -> None:
    """A decision was made. The mail goes to the contact and to who submitted it."""
    addresses = sorted({a for a in (merchant.contact_email, _address(version.submitted_by, merchant)) if a})
    if addresses:
        OwnerNotice.objects.create(version=version, addresses=addresses, next_send_at=timezone.now())
        transaction.on_commit(lambda: wake(TASK), robust=True)


def _address(user: User, merchant: Merchant) -> str:
    """Of the company's own people only: an operator may have submitted it for them."""
    return user.email if user.merchant_id == merchant.pk else ""


def send_due_notices() -> int:
    """Send the mails that are due; how many left. Without a mail server nothing is due any more."""
    sent = 0
    for pk in claim_due(OwnerNotice, "next_send_at", now=timezone.now(), lease=_LEASE, limit=50):
        notice = OwnerNotice.objects.select_related("version__application__merchant").get(pk=pk)
        sent += _send(notice)
    return sent


def _send(notice: OwnerNotice) -> bool:
    notice.tries += 1
    try:
        if settings.EMAIL_HOST:
            _mail(notice).send()
            notice.sent_at, notice.error = timezone.now(), ""
        else:
            notice.error = "no mail server is configured"
        notice.next_send_at = None
    except (smtplib.SMTPException, OSError) as exc:
        notice.error = f"{type(exc).__name__}: {exc}"[:200]
        later = _DELAYS[notice.tries - 1] if notice.tries <= len(_DELAYS) else None
        notice.next_send_at = timezone.now() + timedelta(seconds=later) if later else None
    notice.save(update_fields=["tries", "sent_at", "error", "next_send_at"])
    return notice.sent_at is not None


def _mail(notice: OwnerNotice) -> EmailMessage:
    version = notice.version
    merchant = version.application.merchant
    with translation.override(settings.LANGUAGE_CODE):
        subject = {
            Outcome.APPROVED: _("%(merchant)s was approved and can take payments now"),
            Outcome.RETURNED: _("The application of %(merchant)s came back with comments"),
        }[Outcome(version.outcome)] % {"merchant": merchant.name}
        lines = [subject, ""]
        lines += [f"{step.title}: {version.comments[step.code]}" for step in SECTIONS if step.code in version.comments]
        lines += [version.comment] if version.comment else []
        lines += ["", _("Sign in to the payment center to go on.")]
    return EmailMessage(" ".join(subject.split()), "\n".join(lines), to=notice.addresses)
