"""What numbers of merchants, apps, accounts and names of staff mean to the auditor's search."""

from __future__ import annotations

from collections.abc import Iterable

from merchants.models import App, Merchant, PaymentAccount, User
from paycenter.admin.audit import resolves_keys

_NUMBERS = ((Merchant, "merchant_no"), (App, "app_id"), (PaymentAccount, "payment_no"), (User, "username"))


@resolves_keys
def keys_of(term: str) -> Iterable[tuple[str, int]]:
    """(type, id) of the records with this number; each is a look-up in a unique index."""
    for model, column in _NUMBERS:
        for pk in model._default_manager.filter(**{column: term}).values_list("pk", flat=True):
            yield str(model._meta.model_name), pk
