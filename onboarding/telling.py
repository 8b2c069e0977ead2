"""Who is told about an application: operators by an alert, the company's owners by mail and on its page."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from merchants.models import Merchant, Role, User
from merchants.people.mail import mail_person
from notifications.alerts import alert
from onboarding.models import ApplicationVersion, Outcome
from onboarding.steps import SECTIONS

_SUBMITTED = gettext_noop("%(merchant)s submitted its application (version %(number)s)")


def tell_operators(merchant: Merchant, version: ApplicationVersion) -> None:
    """An application waits to be reviewed."""
    alert(
        kind="onboarding", key=f"onboarding:{merchant.merchant_no}:{version.number}", title=_SUBMITTED,
        severity="info", merchant_no=merchant.merchant_no,
        context={"merchant": merchant.name, "number": version.number},
    )  # fmt: skip


def tell_company(merchant: Merchant, version: ApplicationVersion) -> None:
    """A decision was made. The mail goes to the owners, and to who of the company submitted it."""
    people = User.objects.filter(merchant=merchant, is_active=True)
    with translation.override(settings.LANGUAGE_CODE):
        subject, text = _letter(merchant, version)
        for person in people.filter(Q(role=Role.OWNER) | Q(pk=version.submitted_by_id)):
            mail_person(person, subject, text)


def _letter(merchant: Merchant, version: ApplicationVersion) -> tuple[str, str]:
    subject = {
        Outcome.APPROVED: _("%(merchant)s was approved and can take payments now"),
        Outcome.RETURNED: _("The application of %(merchant)s came back with comments"),
    }[Outcome(version.outcome)] % {"merchant": merchant.name}
    lines = [f"{step.title}: {version.comments[step.code]}" for step in SECTIONS if step.code in version.comments]
    said = [*lines, version.comment] if version.comment else lines
    return " ".join(subject.split()), "\n".join([subject, "", *said, "", _("Sign in to the payment center to go on.")])
