"""Payment accounts of an application: kept as typed until they are complete, then opened by the usual services."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from channels.base import keys
from channels.base.discovery import methods_of, provider_for
from channels.base.fields import Field, FieldKind
from channels.base.keys import KeyProblem
from merchants.forms import MAX_FILE_BYTES, say
from merchants.models import Merchant, PaymentAccount, User
from merchants.offering import account_methods_set
from merchants.onboarding import keeps_when_blank, merged_config, refuse_moved_secrets
from merchants.services import (
    account_advance,
    account_create,
    account_rename,
    account_update_config,
    refuse_identity_change,
)
from merchants.states import MerchantState
from onboarding.errors import StaleStep
from onboarding.models import AccountDraft, Application
from onboarding.services import locked_for_edit, note_edit, require_seen
from paycenter.errors import ChannelConfigInvalid, TransitionRefused
from paycenter.staff.tenancy import actor_of
from paycenter.transitions import lock, record_event

MAX_DRAFTS = 20


@dataclass(frozen=True, slots=True)
class Typed:
    """What the form of one account holds: raw parameters as text or uploaded bytes."""

    name: str
    methods: tuple[str, ...]
    config: Mapping[str, Any]


def place_of(target: AccountDraft | PaymentAccount) -> str:
    """How the page and `Application.saves` name an account or a draft."""
    if isinstance(target, AccountDraft):
        return f"draft-{target.pk}" if target.account_id is None else f"account-{target.account_id}"
    return f"account-{target.pk}"


def present_of(target: AccountDraft | PaymentAccount) -> dict[str, Any]:
    """What is stored of it, for `facts.seen` and for the form."""
    if isinstance(target, AccountDraft):
        return {"name": target.name, "methods": sorted(target.methods), "config": target.config}
    active = sorted(method.method for method in target.methods.all() if method.is_active)
    return {"name": target.name, "methods": active, "config": target.config}


@transaction.atomic
def draft_begin(*, application: Application, channel: str, user: User) -> AccountDraft:
    """An empty account at a channel, to be filled in. Raises KeyError for no channel, TransitionRefused."""
    provider = provider_for(channel)
    merchant, locked = locked_for_edit(application)
    if locked.drafts.count() >= MAX_DRAFTS:
        raise TransitionRefused(_("Please finish or take away the accounts that are not complete first."))
    draft = AccountDraft.objects.create(
        application=locked, channel=channel, name=f"{say(provider.name)} {merchant.short_name}".strip()[:64],
        methods=[method.code for method in methods_of(channel)],
    )  # fmt: skip
    note_edit(locked, place_of(draft), user)
    detail = {"channel": channel, "draft": draft.pk, "message": draft.name}
    record_event(locked, "application.account_begun", actor=actor_of(user), detail=detail)
    return draft


@transaction.atomic
def account_save(
    *, application: Application, target: AccountDraft | PaymentAccount, typed: Typed, mark: str, user: User
) -> AccountDraft | PaymentAccount:
    """Store what was typed: as an account where it is complete and right, as a draft of one until then.

    Raises StaleStep (also where the account or draft is gone), TransitionRefused, and ChannelConfigInvalid where a
    stored secret has to be typed again (`refuse_moved_secrets`).
    """
    merchant, locked = locked_for_edit(application)
    draft, account = _locked_target(locked, merchant, target)
    require_seen(locked, place_of(target), present_of(draft or account or target), mark)
    provider = provider_for(target.channel)
    stored = draft.config if draft is not None else account.config if account is not None else {}
    refuse_moved_secrets(provider, stored, typed.config)
    config = {f.name: _kept_or_typed(f, stored, typed.config) for f in provider.fields}
    try:
        clean = merged_config(provider, {}, config, timezone.now())
        if account is not None:
            refuse_identity_change(account, clean)
    except ChannelConfigInvalid:
        kept = _store_draft(locked, draft, account, target.channel, config, typed)
        _told(locked, kept, user, "application.account_typed")
        return kept
    if draft is not None:
        draft.delete()
    saved = _store_account(merchant, account, target.channel, clean, typed, actor_of(user))
    _told(locked, saved, user, "application.account_saved")
    return saved


def _locked_target(
    application: Application, merchant: Merchant, target: AccountDraft | PaymentAccount
) -> tuple[AccountDraft | None, PaymentAccount | None]:
    """The draft and the account as they are now; each may be missing, not both."""
    if isinstance(target, AccountDraft):
        draft = application.drafts.filter(pk=target.pk).first()
        if draft is None:
            raise StaleStep(application.saves.get(place_of(target), {}))
    else:
        draft = application.drafts.filter(account_id=target.pk).first()
    account_id = draft.account_id if draft is not None else target.pk
    if account_id is None:
        return draft, None
    account = lock(PaymentAccount, pk=account_id)
    if account.merchant_id != merchant.pk or account.state != MerchantState.DRAFT:
        raise TransitionRefused(_("This account cannot be changed here any more."), state=str(account.state))
    return draft, account


def _kept_or_typed(field: Field, stored: Mapping[str, Any], typed: Mapping[str, Any]) -> Any:
    value = typed.get(field.name)
    if value in (None, "", b"") and keeps_when_blank(field.kind):
        return stored.get(field.name)
    text = _as_text(field, value) if isinstance(value, bytes) else value
    return text[:MAX_FILE_BYTES] if isinstance(text, str) else text


def _as_text(field: Field, content: bytes) -> str:
    """An uploaded key or certificate as text that can be kept: PEM as it came, DER as PEM or base64."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        pass
    if field.kind in (FieldKind.CERTIFICATE, FieldKind.CERTIFICATE_CHAIN):
        try:
            return keys.certificates_pem(keys.parse_certificates(content))
        except KeyProblem:  # said when it is checked
            pass
    return base64.b64encode(content).decode()


def _store_draft(
    application: Application, draft: AccountDraft | None, account: PaymentAccount | None, channel: str,
    config: Mapping[str, Any], typed: Typed,
) -> AccountDraft:  # fmt: skip
    kept = draft or AccountDraft(application=application, account=account, channel=channel)
    kept.name, kept.methods = typed.name, _known(channel, typed.methods)
    kept.config = {name: value for name, value in config.items() if value is not None}
    kept.save()
    return kept


def _known(channel: str, codes: Iterable[str]) -> list[str]:
    wanted = set(codes)
    return [method.code for method in methods_of(channel) if method.code in wanted]


def _store_account(
    merchant: Merchant, account: PaymentAccount | None, channel: str, config: Mapping[str, Any], typed: Typed,
    actor: str,
) -> PaymentAccount:  # fmt: skip
    codes = _known(channel, typed.methods)
    if account is None:
        return account_create(
            merchant=merchant, channel=channel, name=typed.name, config=config, methods=codes, actor=actor,
            reviewed=True,
        )  # fmt: skip
    account_update_config(account=account, config=config, actor=actor, reviewed=True)
    account_methods_set(account=account, methods=codes, actor=actor, reviewed=True)
    return account_rename(account=account, name=typed.name, actor=actor, reviewed=True)


def _told(application: Application, target: AccountDraft | PaymentAccount, user: User, event: str) -> None:
    note_edit(application, place_of(target), user)
    number = target.payment_no if isinstance(target, PaymentAccount) else ""
    detail = {"channel": target.channel, "payment_no": number, "message": target.name}
    record_event(application, event, actor=actor_of(user), detail=detail)


@transaction.atomic
def account_take_away(*, application: Application, target: AccountDraft | PaymentAccount, user: User) -> None:
    """Leave an account out: an unfinished one is forgotten, an opened one closed.

    Raises StaleStep, TransitionRefused.
    """
    merchant, locked = locked_for_edit(application)
    draft, account = _locked_target(locked, merchant, target)
    place = place_of(target)
    if draft is not None:
        draft.delete()
    if account is not None:
        reason = _("Taken out of the application.")
        account_advance(
            account=account, transition="close", actor=actor_of(user), reason=reason, reviewed=True
        )
    note_edit(locked, place, user)
    number = account.payment_no if account is not None else ""
    detail = {"channel": target.channel, "payment_no": number, "message": target.name}
    record_event(locked, "application.account_removed", actor=actor_of(user), detail=detail)
