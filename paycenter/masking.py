"""Takes secrets and personal data out of text before it is stored or logged.

By the names of keys (JSON, forms, queries, headers, XML, and these nested in each other), then by
shape where no name helps (`paycenter.mask_patterns`). Credentials vanish; of personal data the ends
stay, enough to recognise it. Our own numbers and amounts are left alone, and so is the spelling of
text in which nothing had to be masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

from paycenter.mask_patterns import HIDDEN, hide_middle, is_amount_name, mask_patterns

MAX_CHARS = 8 * 1024
ELLIPSIS = " …[cut]"
_WORD_CHARS = 60  # a longer run of letters may be a key
_SCAN_CHARS = 64 * 1024  # more than this of one text is never looked at, nor kept
_MAX_DEPTH = 16

_CREDENTIAL_PARTS = (
    "password", "passwd", "passphrase", "secret", "privatekey", "apikey", "apiv3key", "authorization", "cookie",
    "token", "credential", "sessionid",
)  # fmt: skip
_CREDENTIALS = """
    pwd pass pin otp totp cvv cvv2 cvc cvc2 cvn cvn2 securitycode paypwd hmackey aeskey encryptkey signkey authcode
    sessionkey
"""
_PERSONAL = """
    phone phoneno phonenumber mobile mobileno mobilephone mobilenumber tel telephone email mail idcard idcardno idno
    idnumber certno identityno cardno cardnumber bankcard bankcardno bankaccount accno accountno accountnumber
    realname payername openid subopenid payeropenid buyerid buyeropenid buyeruserid buyerlogonid payerid unionid
    customerinfo nameoncard expirydate
"""
_CREDENTIAL_NAMES = frozenset(_CREDENTIALS.split())
_PERSONAL_NAMES = frozenset(_PERSONAL.split())
_FORM = re.compile(r"[^=&\s{}<>\"'?/:]{1,80}=[^&\s\"<>{}]*(?:&[^=&\s{}<>\"'?/:]{1,80}(?:=[^&\s\"<>{}]*)?)*&?")
_QUERY = re.compile(r"(?<=\?)[^\s\"'<>#\\?]+")
_HEADER_LINE = re.compile(r"^([A-Za-z][\w-]{0,63})(:[ \t]*)(.+)$", re.MULTILINE)
# "key": value, in JSON that was cut or stands amid other text, and as Python prints it.
_QUOTED_PAIR = re.compile(
    r"""(["'])([^"'\\]{1,80})\1(\s{0,8}:\s{0,8})b?("(?:[^"\\]|\\.)*\\?(?:"|\Z)|'(?:[^'\\]|\\.)*\\?(?:'|\Z)|-?[\w.+-]+)""",
    re.DOTALL,
)
_ESCAPED_PAIR = re.compile(
    r"""(?<!\\)(\\{1,15})"([^"\\]{1,80})\1"(\s{0,8}:\s{0,8})(\1".*?(?:(?<!\\)\1"|\Z))""", re.DOTALL
)
_LOOSE_PAIR = re.compile(
    r"""(?<![\w.-])([A-Za-z][\w.\[\]-]{0,79})(\s{0,8}=\s{0,8}|\s{0,8}:\s{1,8}|:(?=[^\s/\d]))"""
    r"""("[^"]*"?|'[^']*'?|[^\s&;,"'<>{}]+)"""
)
_XML_OPENING = re.compile(r"<([A-Za-z][\w:.-]{0,79})(?:\s[^<>]*)?>")
_NUMBER_MARK = "\u0000number:"
_MARKED_NUMBER = re.compile(r'"\\u0000number:([0-9eE+.-]+)"')

Hide = Callable[[str], str]


def _hide_all(_value: str) -> str:
    return HIDDEN


@lru_cache(maxsize=4096)
def _normal(key: str) -> str:
    """`sub_openId`, `payer.sub-openid` and `subOpenid` are one name."""
    return re.sub(r"[^0-9a-z]", "", key.lower().rsplit(".", 1)[-1])


@lru_cache(maxsize=4096)
def _known_hide(key: str) -> Hide | None:
    name = _normal(key)
    if name in _CREDENTIAL_NAMES or any(part in name for part in _CREDENTIAL_PARTS):
        return _hide_all
    return hide_middle if name in _PERSONAL_NAMES else None


class _Number(str):
    """A JSON number with a fraction, kept as it was written."""

    __slots__ = ()


class _Masker:
    """`extra` are further names whose values vanish."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._extra = frozenset(_normal(name) for name in extra)

    def hide_for(self, key: str) -> Hide | None:
        if self._extra and _normal(key) in self._extra:
            return _hide_all
        return _known_hide(key)

    # ---- values whose structure is known ----
    def named(self, key: str, value: Any, depth: int) -> Any:
        hide = self.hide_for(key)
        if hide is _hide_all and value not in (None, "", [], {}):
            return _without_credential(key, value)
        if hide is not None and isinstance(value, str | int) and not isinstance(value, bool):
            return hide(str(value)) if value != "" else value
        return self.any(value, depth, key)

    def any(self, value: Any, depth: int, key: str = "") -> Any:
        if depth > _MAX_DEPTH:
            return HIDDEN
        if isinstance(value, Mapping):
            return {str(k): self.named(str(k), v, depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.named(key, item, depth + 1) for item in value]
        if isinstance(value, bytes):
            value = value.decode("utf-8", errors="replace")
        if not isinstance(value, str) or isinstance(value, _Number):
            return value
        return value if value.isdigit() and is_amount_name(key) else self.text(value, depth + 1)

    # ---- text, which may be anything ----
    def text(self, text: str, depth: int = 0) -> str:
        if depth > _MAX_DEPTH:
            return HIDDEN
        stripped = text.strip()
        if stripped[:1] in ("{", "[", '"'):
            found = self._json(text, depth)
            if found is not None:
                return found
        is_form = "=" in stripped and _FORM.fullmatch(stripped)
        return self._form(stripped, depth) if is_form else self._loose(text, depth)

    def _json(self, text: str, depth: int) -> str | None:
        """None when it is not JSON."""
        try:
            found = json.loads(text, parse_float=_Number, object_pairs_hook=_every_pair)
        except (ValueError, RecursionError):
            return None
        masked = self.any(found, depth)
        if masked == found:
            return text
        shown = json.dumps(_mark_numbers(masked), ensure_ascii=False, separators=(",", ":"))
        # Half of a character, which JSON may name, cannot be stored.
        return _MARKED_NUMBER.sub(r"\1", shown.encode(errors="replace").decode())

    def _form(self, text: str, depth: int) -> str:
        return "&".join(self._form_item(item, depth) for item in text.split("&"))

    def _form_item(self, item: str, depth: int) -> str:
        name, equals, raw = item.partition("=")
        if not equals:
            return self._loose(item, depth)
        value, verbatim = unquote_plus(raw), unquote(raw)
        if verbatim != value and mask_patterns(verbatim) != verbatim:
            value = verbatim  # base64 that was sent without escaping its plus signs
        masked = str(self.named(unquote_plus(name), value, depth + 1))
        return item if masked == value else f"{name}={quote(masked, safe='*[] ')}"

    def _loose(self, text: str, depth: int) -> str:
        """Text of no known form, or cut in the middle of one."""
        if ":" in text:
            text = _HEADER_LINE.sub(self._header_line, text)
        if "?" in text:
            text = _QUERY.sub(lambda m: self._form(m[0], depth + 1) if "=" in m[0] else m[0], text)
        if '"' in text or "'" in text:
            text = _QUOTED_PAIR.sub(lambda m: self._pair(m, m[2], m[4]), text)
            text = _ESCAPED_PAIR.sub(lambda m: self._pair(m, m[2], m[4]), text)
        if "<" in text:
            text = self._elements(text)
        if "=" in text or ":" in text:
            text = self._loose_pairs(text, depth)
        return mask_patterns(text)

    def _loose_pairs(self, text: str, depth: int) -> str:
        """What looks like the value of a harmless word may be a pair itself: `failed: password=…`."""
        if depth > _MAX_DEPTH:
            return HIDDEN

        def pair(found: re.Match[str]) -> str:
            if self.hide_for(found[1]) is None and ("=" in found[3] or ":" in found[3]):
                return found[0].removesuffix(found[3]) + self._loose_pairs(found[3], depth + 1)
            return self._pair(found, found[1], found[3])

        return _LOOSE_PAIR.sub(pair, text)

    def _header_line(self, found: re.Match[str]) -> str:
        return f"{found[1]}{found[2]}{HIDDEN}" if self.hide_for(found[1]) is _hide_all else found[0]

    def _pair(self, found: re.Match[str], key: str, raw: str) -> str:
        """`raw`, the end of the match, may be quoted, and its closing quote may be missing."""
        hide, value = self.hide_for(key), raw.strip("\\\"'")
        if hide is None or not value:
            return found[0]
        opening = raw[: raw.index(value)]
        closing = opening if opening and raw.endswith(opening) else ""
        return f"{found[0].removesuffix(raw)}{opening}{hide(value)}{closing}"

    def _elements(self, text: str) -> str:
        """XML elements by their names; the content of one that is never closed vanishes to the end."""
        parts, at = [], 0
        for found in _XML_OPENING.finditer(text):
            hide = self.hide_for(found[1])
            if hide is None or found.start() < at:
                continue
            end = _end_of_element(text, found)
            content = text[found.end() : end].strip().removeprefix("<![CDATA[").removesuffix("]]>")
            parts += [text[at : found.end()], (HIDDEN if "<" in content else hide(content)) if content else ""]
            at = end
        return "".join([*parts, text[at:]])


def _end_of_element(text: str, opening: re.Match[str]) -> int:
    start = opening.end()
    if text.startswith("<![CDATA[", start):
        start = max(start, text.find("]]>", start))
    end = text.find(f"</{opening[1]}", start)
    return len(text) if end < 0 else end


def _without_credential(key: str, value: Any) -> str:
    """The scheme of an Authorization header is worth keeping."""
    scheme, space, _rest = str(value).partition(" ")
    keep = space and "authorization" in key.lower() and re.fullmatch(r"[A-Za-z][\w-]{2,40}", scheme)
    return f"{scheme} {HIDDEN}" if keep else HIDDEN


def _every_pair(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name given twice keeps both values."""
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


def mask_text(text: str | bytes, *, keys: Iterable[str] = (), limit: int = MAX_CHARS) -> str:
    """The text fit to be stored or logged, at most `limit` characters long.

    `keys` are further names whose values are secret (a provider's `masked_keys`).
    """
    if isinstance(text, bytes):
        text = text[: 4 * _SCAN_CHARS].decode("utf-8", errors="replace")
    if text == "" or (len(text) <= _WORD_CHARS and text.isalpha()):  # most often an app's `success`
        return shorten(text, limit)
    mark = ELLIPSIS if len(text) > _SCAN_CHARS else ""
    return shorten(_Masker(keys).text(text[:_SCAN_CHARS].replace("\x00", "")) + mark, limit)


def mask_mapping(mapping: Mapping[str, Any], *, keys: Iterable[str] = ()) -> dict[str, Any]:
    """A copy with masked values: headers, parsed parameters, log fields."""
    return dict(_Masker(keys).any(mapping, 0))


def mask_url(url: str, *, keys: Iterable[str] = (), limit: int = 1024) -> str:
    """The address with its user name, password and the values of its query masked."""
    address, mark, query = url.replace("\x00", "").partition("?")
    masked = mask_patterns(address)
    return shorten(f"{masked}?{_Masker(keys).text(query[:_SCAN_CHARS])}" if mark else masked, limit)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, with a mark where something was cut off."""
    return text if len(text) <= limit else text[: limit - len(ELLIPSIS)] + ELLIPSIS
