"""One finding of an examination, and the words for what could not be examined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from django.conf import settings
from django.utils.translation import gettext as _

from paycenter.masking import mask_text


class Level(IntEnum):
    """How bad it is. NOTE: nothing has to be done; WARNING: it works, and will or may not; ERROR: it does not."""

    OK = 0
    NOTE = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is `section.what`, stable for programs; `text` says what is so, `advice` what to do ("" where nothing)."""

    code: str
    level: Level
    text: str
    advice: str = ""

    def as_json(self) -> Mapping[str, str]:
        return {"code": self.code, "level": self.level.name.lower(), "text": self.text, "advice": self.advice}


Check = Callable[[], Iterator[Finding]]


def ok(code: str, text: str) -> Finding:
    return Finding(code, Level.OK, text)


def warning(code: str, text: str, advice: str) -> Finding:
    return Finding(code, Level.WARNING, text, advice)


def error(code: str, text: str, advice: str) -> Finding:
    return Finding(code, Level.ERROR, text, advice)


def note(code: str, text: str, advice: str = "") -> Finding:
    return Finding(code, Level.NOTE, text, advice)


def is_production() -> bool:
    return bool(settings.MODE == "production")


def in_production(level: Level) -> Level:
    """A level that counts in production only; on a machine of one's own it is a note."""
    return level if is_production() else Level.NOTE


def unreachable(code: str, what: str, exc: BaseException, advice: str) -> Finding:
    """Something did not answer. Of the error only its kind and its masked words are told."""
    words = mask_text(str(exc), limit=160).replace("\n", " ")
    return error(code, _("%(what)s does not answer: %(kind)s %(words)s") % {
        "what": what, "kind": type(exc).__name__, "words": words,
    }, advice)  # fmt: skip
