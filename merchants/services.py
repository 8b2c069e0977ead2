"""Writes about merchants, apps and payment accounts. Every one leaves an event with its actor.

`actor` is who did it: `staff:<username>`, or `system` for the center's own acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django_fsm import can_proceed

from channels.base import keys
from channels.base.discovery import methods_of, provider_for
from channels.base.fields import Label
from merchants.guards import EDIT, why_account_not, why_merchant_not
from merchants.keys import new_hmac_secret, new_webhook_secret
from merchants.models import App, AppKey, Merchant, PaymentAccount
from merchants.offering import account_methods_set, app_merchants_set
from merchants.onboarding import certificate_expiry, changed_names, identity_of, merged_config
from merchants.states import GUARDED_STATES, OPENING
from paycenter.errors import ChannelConfigInvalid, TransitionRefused
from paycenter.numbers import new_short_number
from paycenter.transitions import advance, lock, record_event, save_changed

log = structlog.get_logger(__name__)
# Columns of a merchant that are ours, not the company's: no application holds them.
OWN_COLUMNS = {"timezone", "note"}
_IDENTITY_FIXED = Label(
    "已有交易使用此账户，身份参数不能再修改，请新建支付账户",
    "trades have used this account, so its identity cannot change; open a new account",
)
_NOT_RENEWABLE = Label("不能自动更新", "cannot be renewed automatically")


@dataclass(frozen=True, slots=True)
class IssuedApp:
    """A new app with its secrets, which are shown this once and kept encrypted from then on."""

    app: App
    hmac_secret: str = field(repr=False)
    webhook_secret: str = field(repr=False)


@transaction.atomic
def merchant_create(*, name: str, actor: str, **values: Any) -> Merchant:
    """Open a merchant as a draft with a merchant number of its own.

    `values` are further plain columns (`short_name`, `timezone`, `contact_name` …).
    """
    merchant = Merchant.objects.create(merchant_no=new_short_number("M"), name=name, **values)
    record_event(merchant, "merchant.created", actor=actor, to_state=merchant.state)
    return merchant


@transaction.atomic
def merchant_update(
    *, merchant: Merchant, values: Mapping[str, Any], actor: str, reviewed: bool = False
) -> Merchant:
    """Change plain columns of a merchant (names, contact, time zone); the state has its own function.

    `reviewed` as in `merchant_advance`. Raises TransitionRefused where the merchant is decided on as a whole.
    """
    locked = lock(Merchant, pk=merchant.pk)
    changed = sorted(name for name, value in values.items() if getattr(locked, name) != value)
    if changed:
        if not reviewed and not set(changed) <= OWN_COLUMNS:
            _refuse(locked, why_merchant_not(locked, EDIT))
        for name in changed:
            setattr(locked, name, values[name])
        save_changed(locked, changed)
        record_event(locked, "merchant.updated", actor=actor, detail={"changed": changed})
    return locked


@transaction.atomic
def merchant_advance(
    *, merchant: Merchant, transition: str, actor: str, reason: str = "", confirmed: bool = False,
    reviewed: bool = False,
) -> Merchant:  # fmt: skip
    """Run `submit`, `send_back`, `activate`, `suspend`, `resume` or `close`. Raises TransitionRefused.

    `reviewed` says that whoever guards the merchant (`guards_merchant`) decided so, `confirmed` that a second person
    agreed (`merchants.changes` passes it): without either a merchant is not taken into service.
    """
    locked = lock(Merchant, pk=merchant.pk)
    if not reviewed:
        _refuse(locked, why_merchant_not(locked, transition))
    _refuse_alone(locked, transition, confirmed or reviewed)
    advance(locked, transition, actor=actor, reason=reason)
    return locked


def _refuse_alone(record: Merchant | PaymentAccount, transition: str, agreed: bool) -> None:
    if transition in OPENING and not agreed and can_proceed(getattr(record, transition)):
        raise TransitionRefused(_("A second person has to confirm this change."), state=str(record.state))


def _refuse(record: Merchant | PaymentAccount, words: str) -> None:
    if words:
        raise TransitionRefused(words, state=str(record.state))


@transaction.atomic
def app_create(
    *,
    name: str,
    actor: str,
    merchants: Iterable[Merchant] = (),
    allowed_ips: Sequence[str] = (),
    notify_url: str = "",
    return_url: str = "",
    requests_per_second: int = 500,
    rsa_public_key: str | bytes = "",
    is_active: bool = True,
) -> IssuedApp:
    """Register an app and issue its secrets; switched off, it waits to be taken into use.

    Raises KeyProblem for an unusable RSA public key.
    """
    app = App.objects.create(
        app_id=new_short_number("APP"), name=name, allowed_ips=list(allowed_ips), notify_url=notify_url,
        return_url=return_url, requests_per_second=requests_per_second, webhook_secret=new_webhook_secret(),
        is_active=is_active,
    )  # fmt: skip
    hmac_secret = new_hmac_secret()
    AppKey.objects.create(app=app, kind=AppKey.Kind.HMAC, value=hmac_secret)
    if rsa_public_key:
        pem = keys.public_key_pem(keys.parse_public_key(rsa_public_key))
        AppKey.objects.create(app=app, kind=AppKey.Kind.RSA, value=pem)
    record_event(app, "app.created", actor=actor)
    app_merchants_set(app=app, merchants=merchants, actor=actor, confirmed=True)
    return IssuedApp(app=app, hmac_secret=hmac_secret, webhook_secret=app.webhook_secret)


@transaction.atomic
def app_update(*, app: App, values: Mapping[str, Any], actor: str) -> App:
    """Change what opens no doors: `name`, `is_active`, `requests_per_second`, `cashier_layout`.

    Keys, callback addresses and source addresses go through `merchants.changes`. Raises KeyError for them.
    """
    if unknown := set(values) - {"name", "is_active", "requests_per_second", "cashier_layout"}:
        raise KeyError(", ".join(sorted(unknown)))
    locked = lock(App, pk=app.pk)
    changed = sorted(name for name, value in values.items() if getattr(locked, name) != value)
    if changed:
        for name in changed:
            setattr(locked, name, values[name])
        save_changed(locked, changed)
        record_event(locked, "app.updated", actor=actor, detail={"changed": changed})
    return locked


@transaction.atomic
def account_create(
    *,
    merchant: Merchant,
    channel: str,
    name: str,
    config: Mapping[str, Any],
    actor: str,
    methods: Iterable[str] | None = None,
    payment_no: str = "",
    reviewed: bool = False,
) -> PaymentAccount:
    """Open a payment account as a draft with a payment number of its own.

    `config` holds raw values of the provider's declared fields (text or uploaded bytes); `methods`
    None means every scene the parameters allow; `payment_no` is given where the number was drawn
    beforehand (with `new_short_number`) because the other side files under it.
    `reviewed` as in `merchant_advance`. Raises ChannelConfigInvalid with every problem by field name, and for a
    channel or method code that does not exist; TransitionRefused where the merchant is decided on as a whole.
    """
    if not reviewed:
        _refuse(merchant, why_merchant_not(merchant, EDIT))
    provider = _provider(channel)
    clean = merged_config(provider, {}, config, timezone.now())
    account = PaymentAccount(
        payment_no=payment_no or new_short_number("Z"), merchant=merchant, channel=channel, name=name,
        identity=identity_of(provider, clean), certificate_expires_at=certificate_expiry(provider, clean),
    )  # fmt: skip
    account.config = clean
    account.save()
    record_event(account, "paymentaccount.created", actor=actor, to_state=account.state)
    codes = [m.code for m in methods_of(channel)] if methods is None else methods
    account_methods_set(account=account, methods=codes, actor=actor, reviewed=True)
    return account


def _provider(channel: str) -> Any:
    try:
        return provider_for(channel)
    except KeyError as exc:
        raise ChannelConfigInvalid({"channel": [Label("没有这个渠道", "no such channel")]}) from exc


@transaction.atomic
def account_update_config(
    *, account: PaymentAccount, config: Mapping[str, Any], actor: str, confirmed: bool = False, reviewed: bool = False
) -> PaymentAccount:
    """Store new parameters; blank keys and secrets keep what is stored. It has to be checked again.

    `confirmed` says that a second person agreed (`merchants.changes` passes it); without it an account
    that is or was active is refused with TransitionRefused, and without `reviewed` (see `merchant_advance`) one
    that is decided on with its merchant. Raises ChannelConfigInvalid with every problem
    by field name, also where an identity field changes after the account's first attempt.
    """
    locked = lock(PaymentAccount, pk=account.pk)
    if locked.state in GUARDED_STATES and not confirmed:
        raise TransitionRefused(_("A second person has to confirm this change."), state=locked.state)
    if not reviewed:
        _refuse(locked, why_account_not(locked))
    provider = _provider(locked.channel)
    clean = merged_config(provider, locked.config, config, timezone.now())
    refuse_identity_change(locked, clean)
    return _store_config(locked, clean, actor=actor, keep_check=False)


def refuse_identity_change(account: PaymentAccount, config: Mapping[str, Any]) -> None:
    """Raises ChannelConfigInvalid at each identity field that differs although an attempt was made."""
    fields = [f.name for f in _provider(account.channel).fields if f.identity]
    differ = [name for name in fields if account.config.get(name) != config.get(name)]
    if differ and account.attempt_set.exists():
        raise ChannelConfigInvalid({name: [_IDENTITY_FIXED] for name in differ})


@transaction.atomic
def account_rename(
    *, account: PaymentAccount, name: str, actor: str, reviewed: bool = False
) -> PaymentAccount:
    """Give the account another name for staff; payers and the channel never see it.

    Raises TransitionRefused without `reviewed` (see `merchant_advance`) for one decided on with its merchant.
    """
    locked = lock(PaymentAccount, pk=account.pk)
    if name != locked.name:
        if not reviewed:
            _refuse(locked, why_account_not(locked))
        before, locked.name = locked.name, name
        save_changed(locked, ["name"])
        detail = {"payment_no": locked.payment_no, "changed": ["name"], "before": before, "after": name}
        record_event(locked, "paymentaccount.renamed", actor=actor, detail=detail)
    return locked


@transaction.atomic
def account_store_fetched(
    *, account: PaymentAccount, values: Mapping[str, Any], actor: str = "system"
) -> PaymentAccount:
    """Store what the channel itself gave us under its signature (renewed platform certificates).

    Identity and secrets cannot be changed this way. Raises ChannelConfigInvalid.
    """
    locked = lock(PaymentAccount, pk=account.pk)
    provider = _provider(locked.channel)
    protected = {f.name for f in provider.fields if f.identity or f.is_secret}
    if touched := sorted(protected & set(values)):
        raise ChannelConfigInvalid({name: [_NOT_RENEWABLE] for name in touched})
    clean = merged_config(provider, locked.config, {**locked.config, **values}, timezone.now())
    return _store_config(locked, clean, actor=actor, keep_check=True)


def _store_config(account: PaymentAccount, config: dict[str, Any], *, actor: str, keep_check: bool) -> PaymentAccount:
    """Write the columns that follow from the parameters; the caller holds the lock."""
    names = changed_names(account.config, config)
    if not names:
        return account
    provider = _provider(account.channel)
    account.config = config
    account.identity = identity_of(provider, config)
    account.certificate_expires_at = certificate_expiry(provider, config)
    account.config_version += 1
    fields = ["config", "identity", "certificate_expires_at", "config_version"]
    if not keep_check:
        account.check_ok, account.checked_at, account.check_message = None, None, ""
        fields += ["check_ok", "checked_at", "check_message"]
    save_changed(account, fields)
    detail = {"payment_no": account.payment_no, "changed": names}
    record_event(account, "paymentaccount.configured", actor=actor, detail=detail)
    return account


@transaction.atomic
def account_advance(
    *, account: PaymentAccount, transition: str, actor: str, reason: str = "", confirmed: bool = False,
    reviewed: bool = False,
) -> PaymentAccount:  # fmt: skip
    """Run an onboarding transition; to take an account into service needs a successful check and a second person.

    `confirmed` says that one agreed (`merchants.changes` passes it), `reviewed` (see `merchant_advance`) that an
    application was approved, which takes two people as well; without the latter an account that is decided on with
    its merchant does not move. Raises TransitionRefused.
    """
    locked = lock(PaymentAccount, pk=account.pk)
    if not reviewed:
        _refuse(locked, why_account_not(locked))
    _refuse_alone(locked, transition, confirmed or reviewed)
    if transition in OPENING:
        refuse_unchecked(locked)
    advance(locked, transition, actor=actor, reason=reason)
    return locked


def refuse_unchecked(account: PaymentAccount) -> None:
    """Raises TransitionRefused where the last check of the connection did not succeed."""
    if not account.check_ok:
        raise TransitionRefused(_("Check the connection successfully first."), state=str(account.state))
