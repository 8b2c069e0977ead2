"""Numbers that carry a check digit, and other things a typed text can be checked for without asking anybody."""

from __future__ import annotations

import re
from datetime import date

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# GB 32100-2015: 18 characters of 31 (no I, O, S, V, Z), the last over the others with weights 3^i mod 31.
_CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_SHAPE = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")
# GB 11643-1999: 17 digits, the last character over them, modulo 11.
_ID_SHAPE = re.compile(r"[1-9][0-9]{16}[0-9X]")
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_LAST = "10X98765432"
_SPACES = re.compile(r"[\s\u3000-]+")


def credit_code(text: str) -> str:
    """统一社会信用代码, its check digit verified. Raises ValidationError."""
    code = _SPACES.sub("", text).upper()
    if len(code) != 18:
        raise ValidationError(
            _("A unified social credit code has 18 characters; this has %(count)d.") % {"count": len(code)}
        )
    if not _CREDIT_SHAPE.fullmatch(code):
        raise ValidationError(_("It has digits and capital letters only, without I, O, S, V and Z."))
    total = sum(_CREDIT.index(c) * pow(3, i, 31) for i, c in enumerate(code[:17]))
    if _CREDIT[-total % 31] != code[17]:
        raise ValidationError(_("The last character does not fit the others: please compare it with the licence."))
    return code


def resident_id(text: str) -> str:
    """居民身份证号码, its date and check digit verified. Raises ValidationError."""
    number = _SPACES.sub("", text).upper()
    if not _ID_SHAPE.fullmatch(number):
        raise ValidationError(_("A resident identity number has 18 characters: digits, the last may be X."))
    if _born(number) is None:
        raise ValidationError(_("Characters 7 to 14 are no date of birth."))
    total = sum(int(c) * w for c, w in zip(number[:17], _ID_WEIGHTS, strict=True))
    if _ID_LAST[total % 11] != number[17]:
        raise ValidationError(_("The last character does not fit the others: please compare it with the card."))
    return number


def _born(number: str) -> date | None:
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None
    return born if born.year >= 1900 and born <= timezone.localdate() else None


def other_id(text: str) -> str:
    """A passport or permit number. Raises ValidationError."""
    number = _SPACES.sub("", text).upper()
    if not re.fullmatch(r"[0-9A-Z()]{5,24}", number):
        raise ValidationError(_("Please write the number as it stands on the document: letters and digits."))
    return number


def bank_account(text: str) -> str:
    """A company's account number: digits. Raises ValidationError."""
    number = _SPACES.sub("", text)
    if not re.fullmatch(r"[0-9]{8,32}", number):
        raise ValidationError(_("An account number has 8 to 32 digits."))
    return number


def bank_code(text: str) -> str:
    """联行号 of the branch: 12 digits. Raises ValidationError."""
    number = _SPACES.sub("", text)
    if not re.fullmatch(r"[0-9]{12}", number):
        raise ValidationError(_("A bank code (联行号) has 12 digits."))
    return number


def phone(text: str) -> str:
    """A mobile or landline number. Raises ValidationError."""
    number = re.sub(r"[\s\u3000]+", "", text)
    if not re.fullmatch(r"\+?[0-9-]{7,20}", number):
        raise ValidationError(_("Please write a phone number: digits, such as 13800000000 or 0755-12345678."))
    return number


def email(text: str) -> str:
    """An e-mail address. Raises ValidationError."""
    validate_email(text)
    return text


def future_day(text: str) -> str:
    """A day that is not over, as an ISO date. Raises ValidationError."""
    try:
        day = date.fromisoformat(text)
    except ValueError as exc:
        raise ValidationError(_("Please choose a day.")) from exc
    if day < timezone.localdate():
        raise ValidationError(_("This day is over: a valid document is needed."))
    return text
