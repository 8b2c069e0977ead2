"""Filling in an application. Each function stores one act with its event; whoever acts is a staff member.

Everybody locks the merchant first, then the application, then its accounts. What is typed can be changed while
the merchant is a draft; otherwise TransitionRefused. Nothing typed by one person replaces what another one
stored meanwhile: `seen` (see `onboarding.facts`) is the mark of what the page showed, StaleStep the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from merchants.models import Merchant, Role, User
from merchants.people.services import staff_invite
from merchants.services import merchant_create, merchant_update
from merchants.states import MerchantState
from onboarding import facts
from onboarding.errors import StaleStep, StepProblems
from onboarding.models import Application, ApplicationDocument
from onboarding.steps import KINDS, Fact, Step
from paycenter import trail
from paycenter.errors import TransitionRefused
from paycenter.staff.tenancy import actor_of
from paycenter.transitions import lock, record_event, save_changed
from paycenter.uploads import StoredFile, UploadFolder

DOCUMENTS = UploadFolder("application-documents")


@transaction.atomic
def application_open(*, merchant: Merchant, user: User) -> Application:
    """The merchant's application, begun where there is none. Raises TransitionRefused for one that is no draft."""
    locked = lock(Merchant, pk=merchant.pk)
    found = Application.objects.filter(merchant=locked).first()
    if found is not None:
        return found
    _require_draft(locked)
    application = Application.objects.create(merchant=locked)
    record_event(application, "application.opened", actor=actor_of(user))
    return application


@transaction.atomic
def company_open(*, name: str, owner: Mapping[str, str], user: User) -> tuple[Application, User]:
    """Open a company as a draft, with its application and its first owner, who signs in with a link made on the
    person's page. `owner` has the keys `username`, `last_name`, `email`. Raises TransitionRefused."""
    merchant = merchant_create(name=name, actor=actor_of(user))
    person, _change = staff_invite(
        by=user, role=Role.OWNER, reason="", merchant=merchant, username=owner["username"],
        last_name=owner["last_name"], email=owner["email"],
    )  # fmt: skip
    return application_open(merchant=merchant, user=user), person


def locked_for_edit(application: Application) -> tuple[Merchant, Application]:
    """Both rows, locked, of an application that can be changed now. Inside `atomic`; raises TransitionRefused."""
    merchant = lock(Merchant, pk=application.merchant_id)
    locked = lock(Application, pk=application.pk)
    locked.merchant = merchant
    _require_draft(merchant)
    return merchant, locked


def _require_draft(merchant: Merchant) -> None:
    if merchant.state == MerchantState.DRAFT:
        return
    words = {
        MerchantState.REVIEW: _("The application is being reviewed; nothing can be changed until that is decided."),
        MerchantState.ACTIVE: _(
            "The application was approved. Ask an operator of the center for changes of the company's own details; "
            "the owner proposes those of a payment account on that account's page."
        ),
    }
    state = MerchantState(merchant.state)
    raise TransitionRefused(words.get(state, _("The company is suspended or closed.")), state=state)


@transaction.atomic
def step_save(
    *, application: Application, step: Step, values: Mapping[str, Any], mark: str, user: User
) -> Application:
    """Store the facts of one step, as far as they are filled in.

    `mark` is what the form was drawn from. Raises StepProblems for what is wrong, StaleStep, TransitionRefused.
    """
    merchant, locked = locked_for_edit(application)
    present = facts.step_values(locked, merchant, step)
    clean = _cleaned(step, values, present)
    changed = sorted(name for name, value in clean.items() if present[name] != value)
    if not changed:
        return locked
    require_seen(locked, step.code, present, mark)
    columns = {fact.name: clean[fact.name] for fact in step.facts if fact.column}
    if columns:
        locked.merchant = merchant_update(
            merchant=merchant, values=columns, actor=actor_of(user), reviewed=True
        )
    rest = {fact.name: clean[fact.name] for fact in step.facts if not fact.column}
    locked.facts = {**locked.facts, step.code: rest}
    note_edit(locked, step.code, user, also=["facts"])
    detail = {"step": step.code, "changed": changed}
    record_event(locked, "application.saved", actor=actor_of(user), detail=detail)
    return locked


def require_seen(application: Application, place: str, present: Any, mark: str) -> None:
    """Raises StaleStep where `present` is not what the form was drawn from."""
    if facts.seen(present) != mark:
        raise StaleStep(application.saves.get(place, {}))


def note_edit(application: Application, place: str, user: User, also: Iterable[str] = ()) -> None:
    """Write down who changed this part, and save the columns; the caller holds the lock."""
    save = {"by": actor_of(user), "at": timezone.now().isoformat()}
    application.saves = {**application.saves, place: save}
    application.editors = sorted({*application.editors, user.pk})
    save_changed(application, ["saves", "editors", *also])


def _cleaned(step: Step, values: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """The values to store: empty ones stay empty, what is sensitive and left empty stays as stored."""
    clean: dict[str, Any] = {}
    problems: dict[str, list[str]] = {}
    for fact in step.facts:
        try:
            clean[fact.name] = _cleaned_fact(fact, values.get(fact.name), {**values, **clean}, present[fact.name])
        except ValidationError as exc:
            problems[fact.name] = [str(message) for message in exc.messages]
    if problems:
        raise StepProblems(problems)
    return clean


def _cleaned_fact(fact: Fact, raw: Any, values: Mapping[str, Any], present: Any) -> Any:
    if fact.many:
        return [code for code, _label in fact.choices if code in (raw or [])]
    text = str(raw or "").replace("\x00", "").strip() or (str(present) if fact.sensitive else "")
    if not text:
        if fact.name == "name":  # the one thing a merchant cannot be without
            raise ValidationError(_("Please fill in the company's name."))
        return ""
    if len(text) > fact.max_length:
        raise ValidationError(_("At most %(count)d characters.") % {"count": fact.max_length})
    if fact.choices and text not in dict(fact.choices):
        raise ValidationError(_("Please choose one of the list."))
    return fact.check(text, values) if fact.check else text


def document_store(
    *, application: Application, kind: str, name: str, chunks: Iterable[bytes], mark: str, user: User
) -> ApplicationDocument:
    """Keep an uploaded document in the place of the present one, whose id `mark` is ("" for none).

    Raises KeyError for an unknown kind, UploadRefused, StaleStep, TransitionRefused; then no file stays behind.
    """
    KINDS[kind]
    stored = DOCUMENTS.store(name=name, chunks=chunks)
    try:
        return _document_record(application, kind, stored, mark, user)
    except Exception:
        DOCUMENTS.drop(stored.path)
        raise


@transaction.atomic
def _document_record(
    application: Application, kind: str, stored: StoredFile, mark: str, user: User
) -> ApplicationDocument:
    _merchant, locked = locked_for_edit(application)
    _end_document(locked, kind, mark)
    document = ApplicationDocument.objects.create(
        application=locked, kind=kind, path=stored.path, name=stored.name, sha256=stored.sha256, size=stored.size,
        uploaded_by=user, uploaded_at=timezone.now(),
    )  # fmt: skip
    note_edit(locked, f"doc-{kind}", user)
    detail = {"document": kind, "changed": [kind], "sha256": stored.sha256}
    record_event(locked, "application.document_added", actor=actor_of(user), detail=detail)
    return document


@transaction.atomic
def document_take_away(*, application: Application, kind: str, mark: str, user: User) -> None:
    """Leave a document out. Raises StaleStep, TransitionRefused."""
    _merchant, locked = locked_for_edit(application)
    if _end_document(locked, kind, mark):
        note_edit(locked, f"doc-{kind}", user)
        record_event(locked, "application.document_removed", actor=actor_of(user),
                     detail={"document": kind, "changed": [kind]})  # fmt: skip


def _end_document(application: Application, kind: str, mark: str) -> bool:
    """End the present document, if it is the one that was seen; whether there was one."""
    present = application.documents.filter(kind=kind, ended_at__isnull=True).first()
    if mark != (str(present.pk) if present else ""):
        raise StaleStep(application.saves.get(f"doc-{kind}", {}))
    if present is not None:
        present.ended_at = timezone.now()
        present.save(update_fields=["ended_at"])
    return present is not None


def document_seen(*, document: ApplicationDocument, user: User) -> None:
    """Write down that somebody looked at a document."""
    detail = {"document": document.kind, "changed": [document.kind], "sha256": document.sha256, "id": document.pk}
    trail.remember(document.application)  # looking changes nothing
    record_event(document.application, "application.document_seen", actor=actor_of(user), detail=detail)


