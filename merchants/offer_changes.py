"""What is offered to payers changes at once where something is taken away, and through a second person where something
is added: then each function answers the draft that was made, and None otherwise. Whatever an account's own company
wants of it takes a second person.

All raise TransitionRefused without a reason where a second person is needed, and where another request is pending.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from merchants.changes import ChangeKind, change_kind, change_request, whose_role_has
from merchants.models import App, ChangeRequest, Merchant, PaymentAccount, User
from merchants.offering import (
    account_methods,
    account_methods_set,
    app_merchants,
    app_merchants_set,
    cashier_methods,
    cashier_methods_set,
    refuse_foreign_methods,
    refuse_wrong_methods,
)
from merchants.people.reach import changes_accounts, may_ask_about
from merchants.services import account_rename
from merchants.states import GUARDED_STATES
from paycenter.errors import TransitionRefused
from paycenter.staff.tenancy import actor_of, tenant_of
from paycenter.transitions import lock

Kind = ChangeRequest.Kind
CHANGE_CASHIER = "merchants.change_cashiermethod"


@transaction.atomic
def account_methods_change(
    *, account: PaymentAccount, methods: Iterable[str], user: User, reason: str = ""
) -> ChangeRequest | None:
    """Which scenes an account covers. Raises ChannelConfigInvalid for a code that is not one of its channel."""
    locked = lock(PaymentAccount, pk=account.pk)
    wanted, before = set(methods), account_methods(locked)
    refuse_foreign_methods(locked, wanted)
    if changes_accounts(user) and (locked.state not in GUARDED_STATES or wanted <= before):
        account_methods_set(account=locked, methods=wanted, actor=actor_of(user))
        return None
    _require(reason)
    if wanted == before:
        raise TransitionRefused(_("Nothing was changed."))
    return change_request(
        kind=Kind.ACCOUNT_METHODS, target=locked, user=user, reason=reason, payload={"methods": sorted(wanted)},
        before={"methods": sorted(before)}, after={"methods": sorted(wanted)},
    )  # fmt: skip


@transaction.atomic
def account_name_change(
    *, account: PaymentAccount, name: str, user: User, reason: str = ""
) -> ChangeRequest | None:
    """What staff call an account; payers and the channel never see it."""
    locked = lock(PaymentAccount, pk=account.pk)
    if changes_accounts(user):
        account_rename(account=locked, name=name, actor=actor_of(user))
        return None
    _require(reason)
    if name == locked.name:
        raise TransitionRefused(_("Nothing was changed."))
    return change_request(
        kind=Kind.ACCOUNT_NAME, target=locked, user=user, reason=reason, payload={"name": name},
        before={"name": locked.name}, after={"name": name},
    )  # fmt: skip


@transaction.atomic
def app_merchants_change(
    *, app: App, merchants: Iterable[Merchant], user: User, reason: str = ""
) -> ChangeRequest | None:
    """Which merchants an app may collect for."""
    locked = lock(App, pk=app.pk)
    wanted, before = {m.pk: m for m in merchants}, app_merchants(locked)
    if set(wanted) <= set(before):
        app_merchants_set(app=locked, merchants=wanted.values(), actor=actor_of(user))
        return None
    _require(reason)
    return change_request(
        kind=Kind.APP_MERCHANTS, target=locked, user=user, reason=reason, payload={"merchants": sorted(wanted)},
        before={"merchants": _names(before)}, after={"merchants": _names(wanted)},
    )  # fmt: skip


@transaction.atomic
def cashier_methods_change(
    *, app: App, merchant: Merchant, methods: Sequence[tuple[PaymentAccount, str]], user: User, reason: str = ""
) -> ChangeRequest | None:
    """What the cashier shows for an app and a merchant, in this order. Raises ChannelConfigInvalid as
    `cashier_methods_set` does."""
    locked = lock(App, pk=app.pk)
    refuse_wrong_methods(merchant, methods)
    before = cashier_methods(locked, merchant)
    if set(_keys(methods)) <= set(_keys(before)):
        cashier_methods_set(app=locked, merchant=merchant, methods=methods, actor=actor_of(user))
        return None
    _require(reason)
    return change_request(
        kind=Kind.CASHIER_METHODS, target=locked, scope=merchant.merchant_no, user=user, reason=reason,
        payload={"merchant_no": merchant.merchant_no, "methods": _keys(methods)},
        before={"methods": _lines(before)}, after={"methods": _lines(methods)},
    )  # fmt: skip


def _require(reason: str) -> None:
    if not reason:
        raise TransitionRefused(_("Please give a reason: a second person has to confirm this."))


def _names(merchants: Mapping[int, Merchant]) -> list[str]:
    return [str(merchant) for _pk, merchant in sorted(merchants.items())]


def _keys(methods: Sequence[tuple[PaymentAccount, str]]) -> list[tuple[str, str]]:
    return [(account.payment_no, code) for account, code in methods]


def _lines(methods: Sequence[tuple[PaymentAccount, str]]) -> list[tuple[str, str]]:
    return [(code, str(account)) for account, code in methods]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _apply_methods(account: PaymentAccount, payload: Mapping[str, Any], actor: str) -> None:
    account_methods_set(account=account, methods=payload["methods"], actor=actor, confirmed=True)


def _apply_name(account: PaymentAccount, payload: Mapping[str, Any], actor: str) -> None:
    account_rename(account=account, name=payload["name"], actor=actor)


def _apply_merchants(app: App, payload: Mapping[str, Any], actor: str) -> None:
    merchants = Merchant.objects.filter(pk__in=payload["merchants"])
    app_merchants_set(app=app, merchants=merchants, actor=actor, confirmed=True)


def _apply_cashier(app: App, payload: Mapping[str, Any], actor: str) -> None:
    merchant = Merchant.objects.get(merchant_no=payload["merchant_no"])
    accounts = {account.payment_no: account for account in merchant.accounts.all()}
    methods = [(accounts[number], code) for number, code in payload["methods"]]
    cashier_methods_set(app=app, merchant=merchant, methods=methods, actor=actor, confirmed=True)


def _cashier_version(app: App, scope: str) -> str:
    return _digest(_keys(cashier_methods(app, Merchant.objects.get(merchant_no=scope))))


def _asks_for_cashier(user: User, app: App) -> bool:
    tenant = tenant_of(user)
    return user.has_perm(CHANGE_CASHIER) and (tenant is None or (tenant.kind, tenant.pk) == ("app", app.pk))


change_kind(ChangeKind(
    code=Kind.ACCOUNT_METHODS, apply=_apply_methods, may_ask=may_ask_about,
    version_of=lambda account, scope: _digest([account.state, sorted(account_methods(account))]),
))  # fmt: skip
change_kind(ChangeKind(
    code=Kind.ACCOUNT_NAME, apply=_apply_name, may_ask=may_ask_about,
    version_of=lambda account, scope: account.name,
))  # fmt: skip
change_kind(ChangeKind(
    code=Kind.APP_MERCHANTS, apply=_apply_merchants, may_ask=whose_role_has("merchants.change_app"),
    version_of=lambda app, scope: _digest(sorted(app_merchants(app))),
))  # fmt: skip
change_kind(ChangeKind(
    code=Kind.CASHIER_METHODS, apply=_apply_cashier, may_ask=_asks_for_cashier, version_of=_cashier_version,
))  # fmt: skip
