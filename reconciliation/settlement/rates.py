"""The fee rates that hold for an account on a day."""

from __future__ import annotations

from datetime import date

from merchants.models import AccountMethod, PaymentAccount
from reconciliation.fees import Rate
from reconciliation.settlement.models import FeeRate


def rates_of(account: PaymentAccount, day: date) -> dict[str, Rate]:
    """By method; the newest that holds on `day`. A method without a rate of its own has the account's general one."""
    newest: dict[str, Rate] = {}
    for row in FeeRate.objects.filter(account=account, from_day__lte=day).order_by("from_day"):
        newest[row.method] = row.rate
    general = newest.pop("", None)
    if general is None:
        return newest
    methods = AccountMethod.objects.filter(account=account).values_list("method", flat=True)
    return {**dict.fromkeys(methods, general), **newest}
