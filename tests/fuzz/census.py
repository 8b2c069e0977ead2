"""Where the product takes foreign bytes apart, found in its source, and whether the targets get there."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.target import Target

ROOT = Path(__file__).resolve().parents[2]
_APPS = ("cashier", "channels", "dashboards", "merchants", "notifications", "onboarding", "paycenter", "reconciliation",
         "refunds", "trades")  # fmt: skip
# Whatever makes a value of bytes or of text that somebody sent.
_DECODERS = {
    "json.loads", "base64.b64decode", "base64.urlsafe_b64decode", "csv.reader", "csv.DictReader", "zipfile.ZipFile",
    "gzip.GzipFile", "gzip.open", "gzip.decompress", "zlib.decompress", "zlib.decompressobj", "signing.loads",
    "decrypt",
    "urllib.parse.parse_qsl", "parse_qsl", "parse_qs", "expat.ParserCreate", "ElementTree.fromstring", "read_json",
    "x509.load_der_x509_certificate", "x509.load_pem_x509_certificate", "x509.load_pem_x509_certificates",
    *(f"serialization.load_{form}_{kind}_key" for form in ("der", "pem") for kind in ("private", "public")),
}  # fmt: skip


# Those that the whole requests of a target get to.
REQUESTS = {
    "cashier/identity.py:known_payer": "web-payer",
    "cashier/identity.py:read_state": "web-payer",
    "cashier/views/codes.py:_open_order": "web-payer",
    "merchants/api/authentication.py:_read_headers": "web-signed",
    "paycenter/staff/keyset.py:values_of": "web-staff",
    "paycenter/staff/stepup.py:_held_form": "web-forms",
    "paycenter/staff/stepup.py:_put_back": "web-forms",
}
# No stranger's bytes: what the center wrote itself, into its database, its files, a session or a sealed text.
OURS = {
    "cashier/intake/taken.py:_order", "cashier/intake/taken.py:_parsed", "merchants/admin/app.py:AppAdmin.once_view",
    "merchants/admin/staff.py:StaffAdmin.link_shown_view", "notifications/outbox.py:_opened",
    "notifications/signing.py:_key",
    "paycenter/audit.py:_noted_heads", "paycenter/crypto.py:EncryptedJSONField.from_db_value",
    "paycenter/crypto.py:EncryptedTextField.from_db_value", "paycenter/fields.py:ExactJSONField.from_db_value",
    "paycenter/partitions/retiring.py:_copy_out", "paycenter/partitions/retiring.py:_read_through",
    "paycenter/partitions/retiring.py:archived", "paycenter/settings_guard.py:_create",
    "paycenter/settings_guard.py:embedded_secrets", "paycenter/staff/keyset.py:_planned",
    "paycenter/staff/sheets.py:xlsx_stream",
}  # fmt: skip


def parsers() -> set[str]:
    """`path:function` of every function that decodes."""
    texts = {path: path.read_text() for app in _APPS for path in (ROOT / app).rglob("*.py")}
    some = {path: ast.parse(text) for path, text in texts.items() if any(name in text for name in _DECODERS)}
    return {f"{path.relative_to(ROOT)}:{name}" for path, tree in some.items() for name in _decoding(tree)}


def _decoding(node: ast.AST, within: str = "") -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from _decoding(child, f"{within}.{child.name}".lstrip("."))
        elif isinstance(child, ast.Call) and ast.unparse(child.func) in _DECODERS:
            yield within
            yield from _decoding(child, within)
        else:
            yield from _decoding(child, within)


def reached(targets: Iterator[Target]) -> set[str]:
    """`path:function` of every function of the product that the targets' genuine messages lead through."""
    seen: set[Any] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            seen.add(frame.f_code)

    for target in targets:
        with target.around():
            for seed in target.seeds:
                sys.setprofile(note)
                try:
                    target.run(seed)
                finally:
                    sys.setprofile(None)
    ours = (code for code in seen if code.co_filename.startswith(f"{ROOT}/"))
    return {f"{Path(code.co_filename).relative_to(ROOT)}:{code.co_qualname.replace('.<locals>', '')}" for code in ours}
