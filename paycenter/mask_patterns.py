"""Secrets and personal data that are recognised by their shape, where no key names them."""

from __future__ import annotations

import re

HIDDEN = "******"

_EDGE, _END = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL)
# The DER of a PKCS#1 or PKCS#8 key in base64: SEQUENCE, INTEGER 0 (a certificate has a SEQUENCE there).
_BARE_KEY = re.compile(r"MII[A-Za-z0-9+/]{3}IBA(?:[A-Za-z0-9+/=]|%2[BFbf]|%3[Dd]|\\[nr/]|[\r\n]){60,}")
_WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=_%-]+")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/\s@\"'<>]+@")
_EMAIL = re.compile(r"(?<![A-Za-z0-9._+-])[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_PHONE = re.compile(_EDGE + r"(?:\+?86[- ]?)?1[3-9]\d{9}" + _END)
_IDENTITY = re.compile(_EDGE + r"[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]" + _END)
# Issuers' prefixes that exist; the digits in one run, or in groups of four.
_CARD = re.compile(
    _EDGE + r"(?:62|81|4\d|3\d|5\d|6\d|2[2-7])(?:\d{11,17}|\d{2}(?:[ -]\d{4}){2,3}(?:[ -]\d{1,4})?)" + _END
)
_DIGITS = re.compile(r"\d[\d -]{10}")  # a part of each of these three numbers
# The address of an invitation opens a door.
_JOIN_LINK = re.compile(r"(/join/)[\w-]{20,}")
_AMOUNT = re.compile(r"(?:amount|amt|fee|total|price|sum|paid|refunded)\w*\W{0,6}$", re.IGNORECASE)


def is_amount_name(text: str) -> bool:
    """Whether a key, or a text that ends with a key, names an amount of money."""
    return bool(_AMOUNT.search(text[-32:]))


def hide_middle(value: str) -> str:
    """Enough of personal data to recognise it: the ends, of an e-mail address the domain."""
    if "@" in value:
        name, _at, domain = value.rpartition("@")
        return f"{name[:1]}***@{domain}"
    if len(value) >= 11:
        return f"{value[:2]}***{value[-4:]}"
    return f"{value[:1]}***" if len(value) > 1 else "***"


def mask_patterns(text: str) -> str:
    """The text without keys, bearer tokens, invitations, phone and identity numbers, bank cards, e-mail addresses."""
    if "PRIVATE KEY" in text:
        text = _PEM.sub("[private key]", text)
    if "MII" in text:
        text = _BARE_KEY.sub("[private key]", text)
    if "whsec_" in text:
        text = _WEBHOOK_SECRET.sub(f"whsec_{HIDDEN}", text)
    if "/join/" in text:
        text = _JOIN_LINK.sub(rf"\1{HIDDEN}", text)
    if _may_hold_token(text):
        text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    if "@" in text:
        text = _EMAIL.sub(lambda m: hide_middle(m[0]), _USERINFO.sub(f"{HIDDEN}@", text))
    return _mask_numbers(text) if _DIGITS.search(text) else text


def _may_hold_token(text: str) -> bool:
    """Beyond ASCII other letters may count as those of the scheme."""
    lower = text.lower()
    return "bearer" in lower or "basic" in lower or not text.isascii()


def _mask_numbers(text: str) -> str:
    text = _IDENTITY.sub(lambda m: hide_middle(m[0]) if _identity_checks(m[0]) else m[0], text)
    text = _PHONE.sub(lambda m: m[0] if _after_amount(m) else f"*******{m[0][-4:]}", text)
    return _CARD.sub(_mask_card, text)


def _after_amount(found: re.Match[str]) -> bool:
    return is_amount_name(found.string[max(0, found.start() - 32) : found.start()])


def _mask_card(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found[0])
    if not 13 <= len(digits) <= 19 or not _luhn(digits) or _after_amount(found):
        return found[0]
    return f"{digits[:4]}******{digits[-4:]}"


def _luhn(digits: str) -> bool:
    total = 0
    for position, char in enumerate(reversed(digits)):
        value = int(char) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _identity_checks(number: str) -> bool:
    """GB 11643: the eighteenth character is a weighted sum modulo 11."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    rest = sum(int(d) * w for d, w in zip(number[:17], weights, strict=True)) % 11
    return number[17].upper() == "10X98765432"[rest]
