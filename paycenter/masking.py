"""Takes secrets and personal data out of text before it is stored or logged.

By the names of keys (JSON, forms, queries, headers, XML, and these nested in each other), and by
patterns where no name helps: private keys, webhook secrets, phone numbers, identity numbers, bank
cards, e-mail addresses. Credentials vanish; of personal data the ends stay, enough to recognise it.
Our own numbers and amounts are left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote_plus

HIDDEN = "******"
MAX_CHARS = 8 * 1024
ELLIPSIS = " …[cut]"
_SCAN_CHARS = 64 * 1024  # more than this of one text is never looked at
_MAX_DEPTH = 8

_CREDENTIAL_PARTS = (
    "password", "passwd", "passphrase", "secret", "privatekey", "apikey", "apiv3key", "authorization",
    "cookie", "token", "credential", "sessionid",
)  # fmt: skip
_CREDENTIAL_NAMES = frozenset(
    [
        "pwd",
        "pass",
        "pin",
        "otp",
        "totp",
        "cvv",
        "cvv2",
        "cvc",
        "cvc2",
        "cvn",
        "cvn2",
        "securitycode",
        "paypwd",
        "hmackey",
        "aeskey",
        "encryptkey",
        "signkey",
        "authcode",
        "xapikey",
        "key3des",
        "sessionkey",
    ]
)
_PERSONAL_NAMES = frozenset(
    [
        "phone",
        "phoneno",
        "phonenumber",
        "mobile",
        "mobileno",
        "mobilephone",
        "mobilenumber",
        "tel",
        "telephone",
        "email",
        "mail",
        "idcard",
        "idcardno",
        "idno",
        "idnumber",
        "certno",
        "identityno",
        "cardno",
        "cardnumber",
        "bankcard",
        "bankcardno",
        "bankaccount",
        "accno",
        "accountno",
        "accountnumber",
        "realname",
        "payername",
        "openid",
        "subopenid",
        "payeropenid",
        "buyerid",
        "buyeropenid",
        "buyeruserid",
        "buyerlogonid",
        "payerid",
        "unionid",
        "customerinfo",
        "nameoncard",
        "expirydate",
    ]
)
_AMOUNT_BEFORE = re.compile(r"(?:amount|amt|fee|total|price|sum|paid|refunded)\w*\W{0,6}$", re.IGNORECASE)
_PUNCTUATION = re.compile(r"[^0-9a-z]")

Hide = Callable[[str], str]


def _normal(key: str) -> str:
    return _PUNCTUATION.sub("", key.lower())


def _hide_all(_value: str) -> str:
    return HIDDEN


def _hide_middle(value: str) -> str:
    """Keep the last four of a long value, or its first of a short one; e-mail keeps its domain."""
    if "@" in value:
        name, _at, domain = value.rpartition("@")
        return f"{name[:1]}***@{domain}"
    if len(value) >= 11:
        return f"{value[:2]}***{value[-4:]}"
    return f"{value[:1]}***" if len(value) > 1 else "***"


class _Keys:
    """Decides by name; `extra` are further names that hide their value altogether."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._extra = frozenset(_normal(name) for name in extra)

    def hide(self, key: str) -> Hide | None:
        name = _normal(key.rsplit(".", 1)[-1]) if "." in key else _normal(key)
        if name in self._extra or name in _CREDENTIAL_NAMES:
            return _hide_all
        if any(part in name for part in _CREDENTIAL_PARTS):
            return _hide_all
        return _hide_middle if name in _PERSONAL_NAMES else None


# ---- patterns, where no key tells ----------------------------------------------------------------
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL)
# DER of a PKCS#1 or PKCS#8 key in base64: SEQUENCE, then INTEGER 0 (a certificate has another SEQUENCE there).
_BARE_KEY = re.compile(r"MII[A-Za-z0-9+/]{3}IBA(?:[A-Za-z0-9+/=]|%2[BFbf]|%3[Dd]|\\[nr/]|[\r\n]){60,}")
_WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=_%-]+")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE)
_USERINFO = re.compile(r"(://)[^/\s@\"'<>]+@")
_EMAIL = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_EDGE, _END = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
_PHONE = re.compile(_EDGE + r"(?:\+?86[- ]?)?1[3-9]\d{9}" + _END)
_IDENTITY = re.compile(_EDGE + r"[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]" + _END)
# Issuer prefixes that exist; digits in one run or in groups of four.
_CARD = re.compile(
    _EDGE + r"(?:62|81|4\d|3[0-9]|5\d|6\d|2[2-7])(?:\d{11,17}|\d{2}(?:[ -]\d{4}){2,3}(?:[ -]\d{1,4})?)" + _END
)


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


def _mask_patterns(text: str) -> str:
    if "PRIVATE KEY" in text:
        text = _PEM.sub("[private key]", text)
    if "MII" in text:
        text = _BARE_KEY.sub("[private key]", text)
    if "whsec_" in text:
        text = _WEBHOOK_SECRET.sub(f"whsec_{HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    if "@" in text:
        text = _EMAIL.sub(lambda m: _hide_middle(m[0]), _USERINFO.sub(rf"\1{HIDDEN}@", text))
    text = _IDENTITY.sub(lambda m: _hide_middle(m[0]) if _identity_checks(m[0]) else m[0], text)
    text = _PHONE.sub(_mask_phone, text)
    return _CARD.sub(_mask_card, text)


def _after_amount(found: re.Match[str]) -> bool:
    return bool(_AMOUNT_BEFORE.search(found.string[max(0, found.start() - 32) : found.start()]))


def _mask_phone(found: re.Match[str]) -> str:
    return found[0] if _after_amount(found) else f"*******{found[0][-4:]}"


def _mask_card(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found[0])
    if not 13 <= len(digits) <= 19 or not _luhn(digits) or _after_amount(found):
        return found[0]
    return f"{digits[:4]}******{digits[-4:]}"


# ---- structures ----------------------------------------------------------------------------------
class _Number(str):
    """A JSON number with a fraction, kept as it was written."""


_NUMBER_MARK = "\u0000number:"
_MARKED_NUMBER = re.compile(r'"\\u0000number:([0-9eE+.-]+)"')
_FORM = re.compile(r"[^=&\s{}<>\"']{1,80}=[^&\s\"<>{}]*(?:&[^=&\s{}<>\"']{1,80}(?:=[^&\s\"<>{}]*)?)*&?")
_QUERY = re.compile(r"(?<=\?)[^\s\"'<>#\\]+=[^\s\"'<>#\\]*")
_JSON_PAIR = re.compile(
    r"""(["'])([^"'\\]{1,80})\1(\s*:\s*)b?("(?:[^"\\]|\\.)*\\?(?:"|\Z)|'(?:[^'\\]|\\.)*\\?(?:'|\Z)|-?[\w.+-]+)""",
    re.DOTALL,
)
_ESCAPED_PAIR = re.compile(r"""(\\+)"([^"\\]{1,80})\1"(\s*:\s*)(\1".*?(?:(?<!\\)\1"|\Z))""", re.DOTALL)
_XML_PAIR = re.compile(r"<([A-Za-z][\w:.-]{0,79})(?:\s[^<>]*)?>(.*?)(?=</\1\s*>|\Z)", re.DOTALL)
_LOOSE_PAIR = re.compile(
    r"(?<![\w.-])([A-Za-z][\w.\[\]-]{0,79}?)(\s*=\s*|\s*:\s+|:(?=[^\s/\d]))(\"[^\"]*\"?|'[^']*'?|[^\s&;,\"'<>{}]+)"
)
_HEADER_LINE = re.compile(r"^([A-Za-z][\w-]{0,63})(:[ \t]*)(.+)$", re.MULTILINE)


class _Masker:
    def __init__(self, extra: Iterable[str]) -> None:
        self._keys = _Keys(extra)

    def text(self, text: str, depth: int = 0) -> str:
        if depth > _MAX_DEPTH or not text:
            return _hide_all(text) if text else text
        stripped = text.strip()
        if stripped[:1] in ("{", "[", '"'):
            found = self._json_text(text, depth)
            if found is not None:
                return found
        if _FORM.fullmatch(stripped):
            return self._form(stripped, depth)
        return self._loose(text, depth)

    def value(self, key: str, value: Any, depth: int) -> Any:
        """The masked value of a named item, whatever its type."""
        hide = self._keys.hide(key)
        if hide is _hide_all and value not in (None, "", [], {}):
            return self._authorization(key, value)
        if hide is not None and isinstance(value, str | int) and not isinstance(value, bool):
            return hide(str(value)) if value != "" else value
        return self.any(value, depth, key)

    def any(self, value: Any, depth: int, key: str = "") -> Any:
        if depth > _MAX_DEPTH:
            return HIDDEN
        if isinstance(value, Mapping):
            return {str(k): self.value(str(k), v, depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(key, item, depth + 1) for item in value]
        if isinstance(value, bytes):
            value = value.decode("utf-8", errors="replace")
        if isinstance(value, str) and not isinstance(value, _Number):
            return value if _AMOUNT_BEFORE.search(key) and value.isdigit() else self.text(value, depth + 1)
        return value

    @staticmethod
    def _authorization(key: str, value: Any) -> str:
        """The scheme of an Authorization header is worth keeping."""
        scheme = str(value).partition(" ")[0] if "authorization" in key.lower() and " " in str(value) else ""
        return f"{scheme} {HIDDEN}" if re.fullmatch(r"[A-Za-z][\w-]{2,40}", scheme) else HIDDEN

    def _json_text(self, text: str, depth: int) -> str | None:
        """None when it is not JSON. Untouched text stays as it was written, byte for byte."""
        try:
            found = json.loads(text, parse_float=_Number, object_pairs_hook=_pairs)
        except (ValueError, RecursionError):
            return None
        masked = self.any(found, depth)
        if masked == found:
            return text
        dumped = json.dumps(_mark_numbers(masked), ensure_ascii=False, separators=(",", ":"))
        return _MARKED_NUMBER.sub(r"\1", dumped)

    def _form(self, text: str, depth: int) -> str:
        return "&".join(self._form_item(item, depth) for item in text.split("&"))

    def _form_item(self, item: str, depth: int) -> str:
        name, equals, raw = item.partition("=")
        if not equals:
            return self._loose(item, depth)
        value = unquote_plus(raw)
        masked = str(self.value(unquote_plus(name), value, depth))
        return item if masked == value else f"{name}={quote(masked, safe='*[] ')}"

    def _loose(self, text: str, depth: int) -> str:
        """Text of no known form, or cut in the middle of one."""
        text = _HEADER_LINE.sub(lambda m: self._credential_line(m), text)
        text = _QUERY.sub(lambda m: self._form(m[0], depth + 1), text)
        for pattern in (_JSON_PAIR, _ESCAPED_PAIR):
            text = pattern.sub(lambda m: self._pair(m, m[2], m[4]), text)
        text = _XML_PAIR.sub(self._element, text)
        text = _LOOSE_PAIR.sub(lambda m: self._pair(m, m[1], m[3]), text)
        return _mask_patterns(text)

    def _credential_line(self, found: re.Match[str]) -> str:
        if self._keys.hide(found[1]) is not _hide_all:
            return found[0]
        return f"{found[1]}{found[2]}{self._authorization(found[1], found[3])}"

    def _pair(self, found: re.Match[str], key: str, raw: str) -> str:
        hide = self._keys.hide(key)
        value = raw.strip("\\\"'")
        if hide is None or not value:
            return found[0]
        opening = raw[: raw.index(value)]
        closing = opening if opening and raw.endswith(opening) else ""
        before = found[0][: len(found[0]) - len(raw)]
        return f"{before}{opening}{hide(value)}{closing}"

    def _element(self, found: re.Match[str]) -> str:
        """An XML element; its closing tag is not part of the match."""
        name, content = found[1], found[2]
        opening = found[0][: len(found[0]) - len(content)]
        hide = self._keys.hide(name)
        if hide is None:
            return opening + _XML_PAIR.sub(self._element, content)
        data = re.fullmatch(r"\s*<!\[CDATA\[(.*?)(?:\]\]>\s*|\Z)", content, re.DOTALL)
        value = data[1] if data else content.strip()
        return opening + (hide(value) if value and "<" not in value else HIDDEN if value else content)


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Repeated names keep every value, so that none escapes by being named twice."""
    found: dict[str, Any] = {}
    for name, value in items:
        found[name if name not in found else f"{name}.{name}"] = value
    return found


def _mark_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _mark_numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_mark_numbers(v) for v in value]
    return _NUMBER_MARK + value if isinstance(value, _Number) else value


# ---- what others call ----------------------------------------------------------------------------
def mask_text(text: str | bytes, *, keys: Iterable[str] = (), limit: int = MAX_CHARS) -> str:
    """The text fit to be stored or logged, at most `limit` characters long.

    `keys` are further names whose values are secret (a provider's `masked_keys`).
    """
    if isinstance(text, bytes):
        text = text[: 4 * _SCAN_CHARS].decode("utf-8", errors="replace")
    cut = len(text) > _SCAN_CHARS
    masked = _mask_patterns_of_whole(_Masker(keys).text(text[:_SCAN_CHARS].replace("\x00", "")))
    return shorten(masked + ELLIPSIS if cut else masked, limit)


def mask_mapping(mapping: Mapping[str, Any], *, keys: Iterable[str] = ()) -> dict[str, Any]:
    """A copy with masked values: headers, parsed parameters, log fields."""
    return dict(_Masker(keys).any(mapping, 0))


def mask_url(url: str, *, keys: Iterable[str] = (), limit: int = 1024) -> str:
    """The address with its user name, password and query values masked."""
    address, mark, query = url.replace("\x00", "").partition("?")
    masked = _mask_patterns(address)
    if mark:
        masked += mark + _Masker(keys).text(query[:_SCAN_CHARS])
    return shorten(masked, limit)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, with a mark where something was cut off."""
    return text if len(text) <= limit else text[: limit - len(ELLIPSIS)] + ELLIPSIS


def _mask_patterns_of_whole(text: str) -> str:
    """A private key may span what was looked at piece by piece."""
    return _PEM.sub("[private key]", text) if "PRIVATE KEY" in text else text
