"""Submitting an application and deciding on it. What was submitted is frozen as a version.

Merchant and accounts go through their usual transitions; the version is what was looked at. Approval takes
another person than those who filled in or submitted it, and only while nothing differs from the version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from channels.base.discovery import providers
from channels.base.fields import FieldKind
from merchants.models import App, Merchant, PaymentAccount, User
from merchants.offering import app_merchants_set
from merchants.services import account_advance, merchant_advance
from merchants.states import MerchantState
from onboarding import facts, telling
from onboarding.models import Application, ApplicationVersion, Outcome
from onboarding.services import locked_for_edit
from onboarding.steps import SECTIONS
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from paycenter.staff.tenancy import actor_of, is_foreign
from paycenter.transitions import lock, record_event

SUBMIT, REVIEW = "onboarding.submit_application", "onboarding.review_application"
_PUBLIC_FILES = (FieldKind.PUBLIC_KEY, FieldKind.CERTIFICATE, FieldKind.CERTIFICATE_CHAIN)
_TYPED_APART = (
    "merchant.updated", "paymentaccount.created", "paymentaccount.configured", "paymentaccount.methods",
    "paymentaccount.renamed",
)  # fmt: skip
Snapshot = dict[str, dict[str, Any]]


def snapshot_of(application: Application, merchant: Merchant) -> Snapshot:
    """Everything that is reviewed, by section. Documents by their hash; of parameters that are keys or secrets
    only a fingerprint."""
    found: Snapshot = dict(facts.all_values(application, merchant))
    found["documents"] = {
        kind: {"id": d.pk, "name": d.name, "sha256": d.sha256, "size": d.size, "suffix": PurePosixPath(d.path).suffix}
        for kind, d in sorted(facts.documents_of(application).items())
    }  # fmt: skip
    found["accounts"] = {account.payment_no: _account(account) for account in facts.accounts_of(merchant)}
    return found


def _account(account: PaymentAccount) -> dict[str, Any]:
    provider = providers().get(account.channel)
    kinds = {field.name: field.kind for field in provider.fields} if provider else {}
    return {
        "channel": account.channel, "name": account.name,
        "methods": sorted(m.method for m in account.methods.all() if m.is_active),
        "parameters": {
            name: parameter_text(kinds.get(name, FieldKind.SECRET), value)
            for name, value in sorted(account.config.items())
        },
    }  # fmt: skip


def parameter_text(kind: FieldKind, value: Any) -> str:
    """Fit to be kept in a version. A secret's fingerprint is keyed, so that a short one cannot be guessed from it."""
    if kind in (FieldKind.SECRET, FieldKind.PRIVATE_KEY):
        digest = salted_hmac("onboarding.fingerprint", str(value), algorithm="sha256").hexdigest()
        return f"•••••• ({digest[:8]})"
    if kind in _PUBLIC_FILES:
        return f"SHA-256 {hashlib.sha256(str(value).strip().encode()).hexdigest()[:16]}"
    return str(value)


@transaction.atomic
def application_submit(*, application: Application, mark: str, user: User) -> ApplicationVersion:
    """Freeze a version and put merchant and accounts into review.

    `mark` is what the person looked over (`submit_mark`). Raises TransitionRefused: something is missing or was
    changed meanwhile, it is in review already, or the role may not.
    """
    if not user.has_perm(SUBMIT) or is_foreign(user, application):
        raise TransitionRefused(_("Your role may not do this."))
    merchant, locked = locked_for_edit(application)
    missing = facts.application_missing(locked, merchant)
    if missing:
        raise TransitionRefused(_("Something is still missing: %(what)s") % {"what": missing[0].text})
    snapshot = snapshot_of(locked, merchant)
    if facts.seen(snapshot) != mark:
        raise TransitionRefused(_("Something was changed while you looked it over. Please look again, then submit."))
    last = locked.versions.first()
    version = ApplicationVersion(
        application=locked, number=last.number + 1 if last else 1, editors=locked.editors, submitted_by=user,
        submitted_at=timezone.now(),
    )  # fmt: skip
    version.snapshot = snapshot
    version.save()
    _move(merchant, "submit", MerchantState.DRAFT, user)
    _told(locked, "application.submitted", version, user)
    telling.tell_operators(merchant, version)
    return version


def submit_mark(application: Application, merchant: Merchant) -> str:
    """The mark of everything that would be submitted now."""
    return facts.seen(snapshot_of(application, merchant))


def _move(merchant: Merchant, transition: str, from_state: str, user: User, reason: str = "") -> None:
    """Merchant and those of its accounts that are as far take the same transition."""
    merchant_advance(merchant=merchant, transition=transition, actor=actor_of(user), reason=reason, reviewed=True)
    for account in merchant.accounts.filter(state=from_state).order_by("pk"):
        account_advance(
            account=account, transition=transition, actor=actor_of(user), reason=reason, reviewed=True
        )


@transaction.atomic
def application_approve(
    *, application: Application, number: int, user: User, comment: str = "", apps: Iterable[App] = ()
) -> ApplicationVersion:
    """Take the company and its accounts into service; `apps` may collect for it from now on.

    Raises TransitionRefused for another version than the one to be reviewed, for who filled in or submitted it, and
    where something differs from the version by now.
    """
    merchant, locked, version = _decidable(application, number, user)
    if user.pk in {version.submitted_by_id, *version.editors} or _typed_apart(merchant, user):
        raise TransitionRefused(_("Somebody else has to approve what you filled in or submitted."))
    if differing := _differing(version.snapshot, snapshot_of(locked, merchant)):
        what = _(", ").join(str(step.title) for step in SECTIONS if step.code in differing)
        raise TransitionRefused(_("Changed since it was submitted: %(what)s. Return it, so that it can be submitted "
                                  "again.") % {"what": what})  # fmt: skip
    _move(merchant, "activate", MerchantState.REVIEW, user, comment)
    for app in apps:
        present = Merchant.objects.filter(appmerchant__app=app, appmerchant__is_active=True)
        app_merchants_set(app=app, merchants=[*present, merchant], actor=actor_of(user), confirmed=True)
    _decide(locked, version, Outcome.APPROVED, user, comment)
    _told(locked, "application.approved", version, user)
    return version


def _typed_apart(merchant: Merchant, user: User) -> bool:
    """Whether this person changed the company or an account on their pages, before there was an application."""
    of_accounts = Event.objects.about("paymentaccount", object_id__in=merchant.accounts.values("pk"))
    by_them = {"type__in": _TYPED_APART, "actor": actor_of(user)}
    return any(events.filter(**by_them).exists() for events in (Event.objects.of(merchant), of_accounts))


@transaction.atomic
def application_return(
    *, application: Application, number: int, user: User, comments: Mapping[str, str], comment: str = ""
) -> ApplicationVersion:
    """Back to the company, with comments by section. Raises TransitionRefused, also where nothing is commented."""
    merchant, locked, version = _decidable(application, number, user)
    said = {step.code: comments[step.code].strip()[:500] for step in SECTIONS if comments.get(step.code, "").strip()}
    if not said and not comment.strip():
        raise TransitionRefused(_("Please say what has to be changed: at a section, or below."))
    version.comments = said
    _move(merchant, "send_back", MerchantState.REVIEW, user, comment)
    _decide(locked, version, Outcome.RETURNED, user, comment)
    _told(locked, "application.returned", version, user)
    return version


def _decidable(
    application: Application, number: int, user: User
) -> tuple[Merchant, Application, ApplicationVersion]:
    if not user.has_perm(REVIEW) or is_foreign(user, application):
        raise TransitionRefused(_("Your role may not do this."))
    merchant = lock(Merchant, pk=application.merchant_id)
    locked = lock(Application, pk=application.pk)
    locked.merchant = merchant
    version = locked.versions.first()
    if version is None or version.outcome or merchant.state != MerchantState.REVIEW:
        raise TransitionRefused(_("This has been decided already."), state=str(merchant.state))
    if version.number != number:
        raise TransitionRefused(_("A newer version was submitted meanwhile. Please look at that one."))
    return merchant, locked, version


def _decide(application: Application, version: ApplicationVersion, outcome: str, user: User, comment: str) -> None:
    version.outcome, version.comment = outcome, comment.strip()[:500]
    version.decided_by, version.decided_at = user, timezone.now()
    version.save(update_fields=["outcome", "comment", "comments", "decided_by", "decided_at"])
    telling.tell_company(application.merchant, version)


def _told(application: Application, event: str, version: ApplicationVersion, user: User) -> None:
    detail = {"version": version.number, "sections": sorted(version.comments)}
    record_event(application, event, actor=actor_of(user), reason=version.comment, detail=detail)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {code for code in {*before, *after} if before.get(code) != after.get(code)}
