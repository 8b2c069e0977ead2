"""What code writes into the records in English can be read in Chinese."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from paycenter.staff.reasons import reason_word
from paycenter.staff.words import EVENT_WORDS

PACKAGES = (
    "paycenter", "channels", "merchants", "notifications", "trades", "refunds", "onboarding", "reconciliation",
    "dashboards", "cashier",
)  # fmt: skip
# Whose words end up in a record: the reason of an event, the error of an exchange or a refusal of a bill.
SPEAKERS = {
    "AuditBroken", "BillNotReady", "BillRefused", "EgressRefused", "NotSent", "UnknownOutcome", "Unreadable",
    "Untrusted", "_alert_contradiction",
}  # fmt: skip


def calls() -> Iterator[tuple[Path, str, ast.Call]]:
    root = Path(settings.BASE_DIR)
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call):
                    yield file, getattr(node.func, "id", getattr(node.func, "attr", "")), node


def sample(node: ast.expr | None) -> str:
    """The text of a literal, with a number in each place of an f-string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "7" for p in node.values)
    return ""


def reasons() -> list[str]:
    found = set()
    for _file, name, call in calls():
        texts = [k.value for k in call.keywords if k.arg in ("reason", "because")]
        found |= {sample(text) for text in (*texts, *(call.args if name in SPEAKERS else ()))}
    return sorted(text for text in found if re.search(r"[a-z] [a-z]", text))


def test_there_are_reasons() -> None:
    assert len(reasons()) > 100


@pytest.mark.parametrize("reason", reasons())
def test_a_reason_reads_in_chinese(reason: str) -> None:
    with translation.override("zh-hans"):
        told = reason_word(reason)
    assert re.search(r"[\u4e00-\u9fff]", told)
    assert not re.search(r"[a-z]{2,} [a-z]{2,}", told)


def test_every_event_that_is_written_has_a_word() -> None:
    written = {}
    for file, name, call in calls():
        texts = [k.value for k in call.keywords if k.arg == "event"]
        texts += call.args[1:2] if name == "record_event" else []
        written |= {sample(text): file.name for text in texts}
    assert len(written) > 40
    unknown = {code: file for code, file in written.items() if code and "7" not in code and code not in EVENT_WORDS}
    assert unknown == {}
