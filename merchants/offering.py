"""What is offered to payers: the scenes of an account, the merchants of an app, the methods of a cashier.

Every write leaves an event with its actor. To take something away takes one person. What is added lets money run
through another account or app, so `confirmed` has to say that a second person agreed (`merchants.offer_changes`
passes it); otherwise TransitionRefused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from channels.base.discovery import methods_of, provider_code_of
from channels.base.fields import Label
from merchants.guards import why_account_not
from merchants.models import AccountMethod, App, AppMerchant, CashierMethod, Merchant, PaymentAccount
from merchants.states import GUARDED_STATES
from paycenter import trail
from paycenter.errors import ChannelConfigInvalid, TransitionRefused
from paycenter.transitions import record_event


def account_methods(account: PaymentAccount) -> set[str]:
    """The scenes the account's contract covers now."""
    rows = AccountMethod.objects.filter(account=account, is_active=True)
    return set(rows.values_list("method", flat=True))


@transaction.atomic
def account_methods_set(
    *, account: PaymentAccount, methods: Iterable[str], actor: str, confirmed: bool = False, reviewed: bool = False
) -> None:
    """Which scenes the account's contract covers; the rest is switched off.

    Raises ChannelConfigInvalid for a code that is not a scene of the account's channel, and TransitionRefused
    without `reviewed` (see `merchant_advance`) for an account that is decided on with its merchant, and without
    `confirmed` where an account that is or was active would get a further one.
    """
    if not reviewed and (words := why_account_not(account)):
        raise TransitionRefused(words, state=str(account.state))
    wanted, before = set(methods), account_methods(account)
    refuse_foreign_methods(account, wanted)
    if account.state in GUARDED_STATES and not wanted <= before:
        _refuse_alone(confirmed)
    AccountMethod.objects.filter(account=account).exclude(method__in=wanted).update(is_active=False)
    for code in sorted(wanted - before):
        AccountMethod.objects.update_or_create(account=account, method=code, defaults={"is_active": True})
    if before != wanted:
        detail = {"payment_no": account.payment_no, "methods": sorted(wanted)}
        detail |= trail.change("methods", sorted(before), sorted(wanted))
        record_event(account, "paymentaccount.methods", actor=actor, detail=detail)


def refuse_foreign_methods(account: PaymentAccount, codes: Iterable[str]) -> None:
    """Raises ChannelConfigInvalid for codes that are no scenes of the account's channel."""
    foreign = sorted(set(codes) - {m.code for m in methods_of(account.channel)})
    if foreign:
        raise _methods_refused("不是该渠道的支付方式", "not methods of this channel", foreign)


def app_merchants(app: App) -> dict[int, Merchant]:
    """The merchants an app may collect for now, by id."""
    links = AppMerchant.objects.select_related("merchant").filter(app=app, is_active=True)
    return {link.merchant_id: link.merchant for link in links}


@transaction.atomic
def app_merchants_set(
    *, app: App, merchants: Iterable[Merchant], actor: str, confirmed: bool = False
) -> None:
    """Which merchants the app may collect for; those left out are switched off, not forgotten."""
    wanted = {m.pk: m for m in merchants}
    if not set(wanted) <= set(app_merchants(app)):
        _refuse_alone(confirmed)
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


def cashier_methods(app: App, merchant: Merchant) -> list[tuple[PaymentAccount, str]]:
    """What the cashier shows for an app and a merchant, in its order."""
    rows = CashierMethod.objects.filter(app=app, merchant=merchant, is_active=True).select_related("account")
    return [(row.account, row.method) for row in rows.order_by("position", "id")]


@transaction.atomic
def cashier_methods_set(
    *, app: App, merchant: Merchant, methods: Sequence[tuple[PaymentAccount, str]], actor: str,
    confirmed: bool = False,
) -> None:  # fmt: skip
    """What the cashier shows for an app and a merchant, in this order; what is left out is removed.

    Raises ChannelConfigInvalid for an account of another merchant, a method of another channel, or one
    method given twice; TransitionRefused without `confirmed` where a method or its account is new.
    """
    refuse_wrong_methods(merchant, methods)
    present = cashier_methods(app, merchant)
    if not _pairs(methods) <= _pairs(present):
        _refuse_alone(confirmed)
    codes = [code for _account, code in methods]
    before = [code for _account, code in present]
    CashierMethod.objects.filter(app=app, merchant=merchant).exclude(method__in=codes).delete()
    for position, (account, code) in enumerate(methods):
        CashierMethod.objects.update_or_create(
            app=app, merchant=merchant, method=code,
            defaults={"account": account, "position": position, "is_active": True},
        )  # fmt: skip
    detail = {"methods": codes, **trail.change("methods", before, codes)}
    record_event(app, "app.cashier_methods", actor=actor, merchant_no=merchant.merchant_no, detail=detail)


def refuse_wrong_methods(merchant: Merchant, methods: Sequence[tuple[PaymentAccount, str]]) -> None:
    """Raises ChannelConfigInvalid as `cashier_methods_set` does."""
    codes = [code for _account, code in methods]
    wrong = [
        code for account, code in methods
        if account.merchant_id != merchant.pk or _owner(code) != account.channel or codes.count(code) > 1
    ]  # fmt: skip
    if wrong:
        raise _methods_refused("不能这样配置", "cannot be configured", sorted(set(wrong)))


def _pairs(methods: Sequence[tuple[PaymentAccount, str]]) -> set[tuple[int, str]]:
    return {(account.pk, code) for account, code in methods}


def _refuse_alone(confirmed: bool) -> None:
    if not confirmed:
        raise TransitionRefused(_("A second person has to confirm this change."))


def _methods_refused(zh: str, en: str, codes: Iterable[str]) -> ChannelConfigInvalid:
    text = ", ".join(codes)
    return ChannelConfigInvalid({"methods": [Label(f"{zh}：{text}", f"{en}: {text}")]})


def _owner(method: str) -> str:
    try:
        return provider_code_of(method)
    except KeyError:
        return ""
