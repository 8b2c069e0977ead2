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

from channels.base import keys
from channels.base.discovery import methods_of, provider_code_of, provider_for
from channels.base.fields import Label
from merchants.guards import EDIT, why_account_not, why_merchant_not
from merchants.keys import new_hmac_secret, new_webhook_secret
from merchants.models import AccountMethod, App, AppKey, AppMerchant, CashierMethod, Merchant, PaymentAccount
from merchants.onboarding import certificate_expiry, changed_names, identity_of, merged_config
from merchants.states import MerchantState
from paycenter import trail
from paycenter.errors import ChannelConfigInvalid, TransitionRefused
from paycenter.numbers import new_short_number
from paycenter.transitions import advance, lock, record_event, save_changed

log = structlog.get_logger(__name__)
# An account in these states is guarded: one person alone changes nothing about it.
GUARDED_STATES = (MerchantState.ACTIVE, MerchantState.SUSPENDED)
# Transitions that take an account into service.
OPENING = ("activate", "resume")
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
    *, merchant: Merchant, transition: str, actor: str, reason: str = "", reviewed: bool = False
) -> Merchant:
    """Run `submit`, `send_back`, `activate`, `suspend`, `resume` or `close`. Raises TransitionRefused.

    `reviewed` says that whoever guards the merchant (`guards_merchant`) decided so.
    """
    locked = lock(Merchant, pk=merchant.pk)
    if not reviewed:
        _refuse(locked, why_merchant_not(locked, transition))
    advance(locked, transition, actor=actor, reason=reason)
    return locked


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
    app_merchants_set(app=app, merchants=merchants, actor=actor)
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
def app_merchants_set(*, app: App, merchants: Iterable[Merchant], actor: str) -> None:
    """Which merchants the app may collect for; those left out are switched off, not forgotten."""
    wanted = {m.pk: m for m in merchants}
    for link in AppMerchant.objects.select_related("merchant").filter(app=app):
        present = wanted.pop(link.merchant_id, None) is not None
        if present != link.is_active:
            link.is_active = present
            link.save(update_fields=["is_active"])
            _link_event(app, link.merchant, "linked" if present else "unlinked", actor)
    for merchant in wanted.values():
        AppMerchant.objects.create(app=app, merchant=merchant)
        _link_event(app, merchant, "linked", actor)


def _link_event(app: App, merchant: Merchant, word: str, actor: str) -> None:
    record_event(app, f"app.merchant_{word}", actor=actor, merchant_no=merchant.merchant_no)


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
def account_methods_set(
    *, account: PaymentAccount, methods: Iterable[str], actor: str, reviewed: bool = False
) -> None:
    """Which scenes the account's contract covers; the rest is switched off.

    Raises ChannelConfigInvalid for a code that is not a scene of the account's channel, and TransitionRefused
    without `reviewed` (see `merchant_advance`) for an account that is decided on with its merchant.
    """
    if not reviewed:
        _refuse(account, why_account_not(account))
    wanted = set(methods)
    foreign = sorted(c for c in wanted if c not in {m.code for m in methods_of(account.channel)})
    if foreign:
        raise _methods_refused("不是该渠道的支付方式", "not methods of this channel", foreign)
    rows = AccountMethod.objects.filter(account=account)
    before = set(rows.filter(is_active=True).values_list("method", flat=True))
    rows.exclude(method__in=wanted).update(is_active=False)
    for code in sorted(wanted - before):
        AccountMethod.objects.update_or_create(account=account, method=code, defaults={"is_active": True})
    if before != wanted:
        detail = {"payment_no": account.payment_no, "methods": sorted(wanted)}
        detail |= trail.change("methods", sorted(before), sorted(wanted))
        record_event(account, "paymentaccount.methods", actor=actor, detail=detail)


def _methods_refused(zh: str, en: str, codes: Iterable[str]) -> ChannelConfigInvalid:
    text = ", ".join(codes)
    return ChannelConfigInvalid({"methods": [Label(f"{zh}：{text}", f"{en}: {text}")]})


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
    if transition in OPENING:
        if not (confirmed or reviewed):
            raise TransitionRefused(_("A second person has to confirm this change."), state=locked.state)
        refuse_unchecked(locked)
    advance(locked, transition, actor=actor, reason=reason)
    return locked


def refuse_unchecked(account: PaymentAccount) -> None:
    """Raises TransitionRefused where the last check of the connection did not succeed."""
    if not account.check_ok:
        raise TransitionRefused(_("Check the connection successfully first."), state=str(account.state))


@transaction.atomic
def cashier_methods_set(
    *, app: App, merchant: Merchant, methods: Sequence[tuple[PaymentAccount, str]], actor: str
) -> None:
    """What the cashier shows for an app and a merchant, in this order; what is left out is removed.

    Raises ChannelConfigInvalid for an account of another merchant, a method of another channel, or one
    method given twice.
    """
    codes = [code for _account, code in methods]
    wrong = [
        code for account, code in methods
        if account.merchant_id != merchant.pk or _owner(code) != account.channel or codes.count(code) > 1
    ]  # fmt: skip
    if wrong:
        raise _methods_refused("不能这样配置", "cannot be configured", sorted(set(wrong)))
    present = CashierMethod.objects.filter(app=app, merchant=merchant)
    before = list(present.filter(is_active=True).order_by("position").values_list("method", flat=True))
    present.exclude(method__in=codes).delete()
    for position, (account, code) in enumerate(methods):
        CashierMethod.objects.update_or_create(
            app=app, merchant=merchant, method=code,
            defaults={"account": account, "position": position, "is_active": True},
        )  # fmt: skip
    detail = {"methods": codes, **trail.change("methods", before, codes)}
    record_event(app, "app.cashier_methods", actor=actor, merchant_no=merchant.merchant_no, detail=detail)


def _owner(method: str) -> str:
    try:
        return provider_code_of(method)
    except KeyError:
        return ""
