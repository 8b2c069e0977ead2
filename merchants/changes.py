"""The second person: what opens doors is asked for by one staff member and takes effect through another.

Every function leaves an event. Nobody decides on their own request, whatever their role; a database
constraint says so as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django_fsm import can_proceed

from channels.base.config import MASK, clean_config, masked_config
from channels.base.discovery import provider_for
from channels.base.keys import parse_public_key, public_key_pem
from merchants.guards import why_account_not, why_merchant_not
from merchants.keys import app_key_rotate, new_hmac_secret, new_webhook_secret, webhook_secret_rotate
from merchants.models import App, AppKey, ChangeRequest, Merchant, PaymentAccount, User
from merchants.offering import app_merchants
from merchants.onboarding import merged_config
from merchants.people.mail import tell_deciders, tell_requester
from merchants.people.reach import may_ask_about
from merchants.services import (
    account_advance,
    account_update_config,
    merchant_advance,
    refuse_identity_change,
    refuse_unchecked,
)
from merchants.states import OPENING, ChangeState, MerchantState
from paycenter.errors import TransitionRefused
from paycenter.staff.tenancy import actor_of
from paycenter.transitions import advance, lock, record_event


@dataclass(frozen=True, slots=True)
class ChangeKind:
    """A change of a record that this part of the center does not know (a refund policy, a fee rate).

    `apply(target, payload, actor)` puts it into effect; it raises TransitionRefused where that is not possible any
    more. `version_of(target, scope)` is a text of at most 64 characters that changes when the record does.
    `may_ask(user, target)` says whether somebody may ask for it, which is asked again before it takes effect. The
    target is the app, the payment account, the person or the merchant that the request names, locked.
    """

    code: str
    apply: Callable[[Any, Mapping[str, Any], str], None]
    version_of: Callable[[Any, str], str]
    may_ask: Callable[[User, Any], bool]


def whose_role_has(permission: str) -> Callable[[User, Any], bool]:
    """For `ChangeKind.may_ask`: everybody whose role has `app.codename`."""
    return lambda user, _target: user.has_perm(permission)


_kinds: dict[str, ChangeKind] = {}


def change_kind(kind: ChangeKind) -> ChangeKind:
    """Register a kind of change; its label is in `ChangeRequest.Kind`."""
    _kinds[ChangeRequest.Kind(kind.code)] = kind
    return kind


ASKER_GONE = gettext_noop("Who asked for this may not do so any more: reject it, and ask again if it is right.")
ADDRESS_FIELDS = ("notify_url", "return_url", "allowed_ips")
Kind = ChangeRequest.Kind
Target = App | PaymentAccount | User | Merchant
_FIELD_OF: Mapping[type, str] = {PaymentAccount: "account", App: "app", User: "person", Merchant: "merchant"}


@transaction.atomic
def account_change_request(
    *, account: PaymentAccount, config: Mapping[str, Any], user: User, reason: str
) -> ChangeRequest:
    """Ask for new parameters of an account that is or was active. It goes on with the present ones meanwhile.

    Raises ChannelConfigInvalid (the same checks as when storing) and TransitionRefused when nothing
    would change or another request is pending.
    """
    locked = lock(PaymentAccount, pk=account.pk)
    provider = provider_for(locked.channel)
    clean = merged_config(provider, locked.config, config, timezone.now())
    refuse_identity_change(locked, clean)
    names = sorted(n for n in {*clean, *locked.config} if clean.get(n) != locked.config.get(n))
    before, after = masked_config(provider, locked.config), masked_config(provider, clean)
    new = {n: _("{mask} (new)").format(mask=MASK) if after.get(n) == MASK else after.get(n, "") for n in names}
    return _request(
        Kind.ACCOUNT_CONFIG, locked, user=user, reason=reason, payload={"config": clean},
        before={n: before.get(n, "") for n in names}, after=new,
    )  # fmt: skip


@transaction.atomic
def account_open_request(*, account: PaymentAccount, transition: str, user: User, reason: str) -> ChangeRequest:
    """Ask to take an account into service: `activate` after its review, `resume` after it was suspended.

    Raises TransitionRefused, also for an account whose connection does not work or that an application decides about.
    """
    locked = lock(PaymentAccount, pk=account.pk)
    if transition not in OPENING or not can_proceed(getattr(locked, transition)):
        raise TransitionRefused(_("This is not possible in the present state."), state=str(locked.state))
    if words := why_account_not(locked):
        raise TransitionRefused(words, state=str(locked.state))
    refuse_unchecked(locked)
    shown = masked_config(provider_for(locked.channel), locked.config)
    return _request(
        Kind.ACCOUNT_OPENED, locked, user=user, reason=reason, payload={"transition": transition, "reason": reason},
        before={"state": str(locked.state)}, after={**shown, "state": str(MerchantState.ACTIVE.value)},
    )  # fmt: skip


@transaction.atomic
def merchant_open_request(*, merchant: Merchant, transition: str, user: User, reason: str) -> ChangeRequest:
    """Ask to take a merchant into service that has no application: `activate` or `resume`. Raises TransitionRefused."""
    locked = lock(Merchant, pk=merchant.pk)
    words = why_merchant_not(locked, transition)
    if words or transition not in OPENING or not can_proceed(getattr(locked, transition)):
        raise TransitionRefused(words or _("This is not possible in the present state."), state=str(locked.state))
    return _request(
        Kind.MERCHANT_OPENED, locked, user=user, reason=reason, payload={"transition": transition, "reason": reason},
        before={"state": str(locked.state)}, after={"name": locked.name, "state": str(MerchantState.ACTIVE.value)},
    )  # fmt: skip


@transaction.atomic
def app_open_request(*, app: App, user: User, reason: str) -> ChangeRequest:
    """Ask to take an app into use that is switched off."""
    locked = lock(App, pk=app.pk)
    return _request(
        Kind.APP_OPENED, locked, user=user, reason=reason, payload={"is_active": True},
        before={"is_active": False}, after={} if locked.is_active else {**_door_of(locked), "is_active": True},
    )  # fmt: skip


def _door_of(app: App) -> dict[str, Any]:
    """What an app that is taken into use opens."""
    merchants = [str(merchant) for _pk, merchant in sorted(app_merchants(app).items())]
    return {**{n: getattr(app, n) for n in ADDRESS_FIELDS}, "merchants": merchants}


@transaction.atomic
def app_addresses_request(*, app: App, values: Mapping[str, Any], user: User, reason: str) -> ChangeRequest:
    """Ask for other callback addresses or source addresses. `values` has the keys of ADDRESS_FIELDS."""
    locked = lock(App, pk=app.pk)
    before = {n: getattr(locked, n) for n in ADDRESS_FIELDS if getattr(locked, n) != values[n]}
    after = {n: values[n] for n in before}
    return _request(Kind.APP_ADDRESSES, locked, user=user, reason=reason, payload=after, before=before, after=after)


@transaction.atomic
def app_secret_request(*, app: App, kind: str, user: User, reason: str) -> tuple[ChangeRequest, str]:
    """Ask for a new HMAC or webhook secret; the second value is the secret, shown this once.

    It is valid from the confirmation on; the present one stays valid beside it as the previous one.
    """
    make: Mapping[str, Callable[[], str]] = {Kind.APP_HMAC: new_hmac_secret, Kind.APP_WEBHOOK: new_webhook_secret}
    secret = make[kind]()
    request = _request(
        kind, lock(App, pk=app.pk), user=user, reason=reason, payload={"secret": secret},
        before={"secret": MASK}, after={"secret": _("{mask} (new)").format(mask=MASK)},
    )  # fmt: skip
    return request, secret


@transaction.atomic
def app_rsa_request(*, app: App, public_key: str | bytes, user: User, reason: str) -> ChangeRequest:
    """Ask for another RSA public key of the app. Raises KeyProblem for one that cannot be used."""
    pem = public_key_pem(parse_public_key(public_key))
    locked = lock(App, pk=app.pk)
    present = AppKey.objects.filter(app=locked, kind=AppKey.Kind.RSA, slot=AppKey.Slot.CURRENT).first()
    if present is not None and present.value == pem:
        raise TransitionRefused(_("Nothing was changed."))
    return _request(
        Kind.APP_RSA, locked, user=user, reason=reason, payload={"public_key": pem},
        before={"public_key": fingerprint(present.value) if present else ""}, after={"public_key": fingerprint(pem)},
    )  # fmt: skip


def change_request(
    *, kind: str, target: Target, user: User, reason: str, payload: dict[str, Any], before: dict[str, Any],
    after: dict[str, Any], scope: str = "",
) -> ChangeRequest:  # fmt: skip
    """Ask for a change of a registered kind (see ChangeKind). Must run inside `atomic`; raises TransitionRefused
    when nothing would change or another request about the same record is pending."""
    return _request(kind, lock(type(target), pk=target.pk), user=user, reason=reason, payload=payload,
                    before=before, after=after, scope=scope)  # fmt: skip


def fingerprint(pem: str) -> str:
    """SHA-256 of a public key's text, short enough to compare by eye."""
    digest = hashlib.sha256(pem.strip().encode()).hexdigest()[:32]
    return "SHA-256 " + " ".join(digest[i : i + 4] for i in range(0, 32, 4))


def _request(
    kind: str, target: Target, *, user: User, reason: str, payload: dict[str, Any],
    before: dict[str, Any], after: dict[str, Any], scope: str = "",
) -> ChangeRequest:  # fmt: skip
    if not after:
        raise TransitionRefused(_("Nothing was changed."))
    field = _FIELD_OF[type(target)]
    pending = ChangeRequest.objects.filter(**{field: target}, kind=kind, scope=scope, state=ChangeState.PENDING)
    # Not waiting for one that is just being decided: who decides locks the request first, then what it is about.
    for old in pending.select_for_update(skip_locked=True):
        if is_overdue(old):
            _expire(old)
    if pending.exists():
        raise TransitionRefused(_("Another change of this kind is waiting to be confirmed."))
    request = ChangeRequest(
        kind=kind, reason=reason, requested_by=user, requested_at=timezone.now(), before=before, after=after,
        base_version=_version_of(kind, target, scope), scope=scope, **{field: target},
    )  # fmt: skip
    request.payload = payload
    request.save()
    record_event(request, "changerequest.requested", actor=actor_of(user), reason=reason, to_state=request.state)
    tell_deciders(request)
    return request


def is_stale(change: ChangeRequest) -> bool:
    """Whether the record changed after the request was made, so that the comparison is worth nothing any more."""
    return _version_of(change.kind, change.target, change.scope) != change.base_version


def is_overdue(change: ChangeRequest) -> bool:
    """Whether nobody decided in time; it can then only be rejected, withdrawn or asked for again."""
    limit = change.requested_at + timedelta(days=settings.CHANGE_REQUEST_DAYS)
    return change.state == ChangeState.PENDING and timezone.now() > limit


def asker_may(change: ChangeRequest) -> bool:
    """Whether who asked could still ask now: not switched off, and of a role that may."""
    user = change.requested_by
    if change.kind in _kinds:
        return user.is_active and _kinds[change.kind].may_ask(user, change.target)
    if change.kind == Kind.ACCOUNT_CONFIG:
        return user.is_active and may_ask_about(user, change.target)  # type: ignore[arg-type]
    return user.has_perm(_ASKS[type(change.target)])


def _expire(change: ChangeRequest) -> None:
    """End a request that nobody decided in time; nothing needs its secrets any more."""
    change.payload = {}
    advance(change, "expire", actor="system", fields=("payload",))


def _version_of(kind: str, target: Target, scope: str) -> str:
    """Changes when what the request was compared with changes."""
    if kind in _kinds:
        return _kinds[kind].version_of(target, scope)
    if isinstance(target, Merchant):
        return f"{target.version} {target.state}"
    if isinstance(target, PaymentAccount):
        version = str(target.config_version)
        return f"{version} {target.state}" if kind == Kind.ACCOUNT_OPENED else version
    if isinstance(target, User):
        raise TypeError(f"no version of {kind} of a person")
    if kind == Kind.APP_ADDRESSES:
        text = json.dumps([getattr(target, n) for n in ADDRESS_FIELDS])
    elif kind == Kind.APP_OPENED:
        text = json.dumps([target.is_active, _door_of(target)])
    elif kind == Kind.APP_WEBHOOK:
        text = target.webhook_secret
    else:
        key_kind = AppKey.Kind.HMAC if kind == Kind.APP_HMAC else AppKey.Kind.RSA
        present = AppKey.objects.filter(app=target, kind=key_kind, slot=AppKey.Slot.CURRENT).first()
        text = present.value if present else ""
    return hashlib.sha256(text.encode()).hexdigest()


@transaction.atomic
def change_confirm(*, change: ChangeRequest, user: User, comment: str = "") -> ChangeRequest:
    """Put the change into effect. Raises TransitionRefused for the requester, for a decided request, for one
    that waited too long, and when the record changed after the request; ChannelConfigInvalid when the
    parameters expired meanwhile."""
    locked = _decidable(change, user)
    if is_overdue(locked):
        raise TransitionRefused(_("This request waited too long; it has to be asked for again."))
    if not asker_may(locked):
        raise TransitionRefused(_(ASKER_GONE))
    target: Any = lock(type(locked.target), pk=locked.target.pk)
    if _version_of(locked.kind, target, locked.scope) != locked.base_version:
        raise TransitionRefused(_("The record changed after this request was made; reject it and ask again."))
    apply = _kinds[locked.kind].apply if locked.kind in _kinds else _APPLY[locked.kind]
    apply(target, locked.payload, actor_of(user))
    return _decide(locked, "confirm", user, comment)


@transaction.atomic
def change_reject(*, change: ChangeRequest, user: User, comment: str = "") -> ChangeRequest:
    """Refuse it. Raises TransitionRefused for the requester and for a decided request."""
    return _decide(_decidable(change, user), "reject", user, comment)


@transaction.atomic
def change_withdraw(*, change: ChangeRequest, user: User, comment: str = "") -> ChangeRequest:
    """Take one's own request back. Raises TransitionRefused for anybody else and for a decided request."""
    locked = lock(ChangeRequest, pk=change.pk)
    if locked.requested_by_id != user.pk:
        raise TransitionRefused(_("Only the person who asked for a change can withdraw it."))
    return _decide(locked, "withdraw", user, comment)


def _decidable(change: ChangeRequest, user: User) -> ChangeRequest:
    locked = lock(ChangeRequest, pk=change.pk)
    if locked.state != ChangeState.PENDING:
        raise TransitionRefused(_("This change has been decided already."), state=str(locked.state))
    if locked.requested_by_id == user.pk:
        raise TransitionRefused(_("Somebody else has to confirm what you asked for."))
    if locked.person_id == user.pk:
        raise TransitionRefused(_("Somebody else has to decide what is about yourself."))
    if not user.has_perm("merchants.confirm_changerequest"):
        raise TransitionRefused(_("Your role cannot confirm changes."))
    return locked


def _decide(change: ChangeRequest, transition: str, user: User, comment: str) -> ChangeRequest:
    change.decided_by, change.decided_at, change.comment = user, timezone.now(), comment
    change.payload = {}  # nothing needs the secrets any more
    fields = ("decided_by", "decided_at", "comment", "payload")
    advance(change, transition, actor=actor_of(user), reason=comment, fields=fields)
    if transition != "withdraw":
        tell_requester(change)
    return change


def _apply_merchant_opened(merchant: Merchant, payload: Mapping[str, Any], actor: str) -> None:
    merchant_advance(
        merchant=merchant, transition=payload["transition"], actor=actor, reason=payload["reason"], confirmed=True
    )


def _apply_account(account: PaymentAccount, payload: Mapping[str, Any], actor: str) -> None:
    clean_config(provider_for(account.channel), payload["config"], timezone.now())
    account_update_config(account=account, config=payload["config"], actor=actor, confirmed=True)


def _apply_account_opened(account: PaymentAccount, payload: Mapping[str, Any], actor: str) -> None:
    account_advance(
        account=account, transition=payload["transition"], actor=actor, reason=payload["reason"], confirmed=True
    )


def _apply_addresses(app: App, payload: Mapping[str, Any], actor: str) -> None:
    for name, value in payload.items():
        setattr(app, name, value)
    app.save(update_fields=sorted(payload))
    record_event(app, "app.addresses_changed", actor=actor, detail={"changed": sorted(payload)})


def _apply_opened(app: App, payload: Mapping[str, Any], actor: str) -> None:
    app.is_active = True
    app.save(update_fields=["is_active"])
    record_event(app, "app.opened", actor=actor)


_ASKS: Mapping[type, str] = {
    PaymentAccount: "merchants.change_paymentaccount", App: "merchants.change_app",
    Merchant: "merchants.change_merchant",
}  # fmt: skip
_APPLY: Mapping[str, Callable[[Any, Mapping[str, Any], str], None]] = {
    Kind.ACCOUNT_CONFIG: _apply_account,
    Kind.ACCOUNT_OPENED: _apply_account_opened,
    Kind.MERCHANT_OPENED: _apply_merchant_opened,
    Kind.APP_ADDRESSES: _apply_addresses,
    Kind.APP_OPENED: _apply_opened,
    Kind.APP_HMAC: lambda app, payload, actor: app_key_rotate(
        app=app, kind=AppKey.Kind.HMAC, value=payload["secret"], actor=actor
    ),
    Kind.APP_RSA: lambda app, payload, actor: app_key_rotate(
        app=app, kind=AppKey.Kind.RSA, value=payload["public_key"], actor=actor
    ),
    Kind.APP_WEBHOOK: lambda app, payload, actor: webhook_secret_rotate(
        app=app, secret=payload["secret"], actor=actor
    ),
}
