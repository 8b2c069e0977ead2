"""Amounts as payers type them. Minor units inside, never a float."""

from __future__ import annotations

import re
import unicodedata

from django.utils.translation import gettext as _

from paycenter.amounts import amount_text
from paycenter.errors import MoneyError
from paycenter.money import MAX_MINOR, Money, scale_of

_GROUPED = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_PLAIN = re.compile(r"[0-9]{1,13}(\.[0-9]+)?")


def entered_amount(text: str, currency: str) -> Money:
    """What a payer typed, in major units. Full-width digits of Chinese keyboards are understood.

    Raises MoneyError with a sentence for the payer: not a number, too many decimals, zero, too much.
    """
    plain = unicodedata.normalize("NFKC", text).replace("。", ".").strip()
    if _GROUPED.fullmatch(plain):
        plain = plain.replace(",", "")
    if not _PLAIN.fullmatch(plain):
        raise MoneyError(_("Enter an amount in digits, such as %(example)s.") % {"example": _example(currency)})
    scale = scale_of(currency)
    if len(plain.partition(".")[2]) > scale:
        if scale == 0:
            raise MoneyError(_("This currency has no decimals: enter a whole amount."))
        raise MoneyError(_("At most %(count)d decimals are possible.") % {"count": scale})
    money = Money.from_major(plain, currency)
    if money.minor < 1:
        raise MoneyError(_("The amount must be more than zero."))
    if money.minor > MAX_MINOR:
        most = amount_text(Money(MAX_MINOR, currency))
        raise MoneyError(_("The amount is too large: at most %(most)s.") % {"most": most})
    return money


def _example(currency: str) -> str:
    return Money(12800 if scale_of(currency) else 128, currency).major
