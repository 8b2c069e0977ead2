"""Vouchers (凭证) of payouts by hand: checked by their first bytes, kept outside the web root under a made-up name."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from paycenter.errors import PaycenterError

MAX_BYTES = 5 * 1024 * 1024
# The only kinds taken, by how their files begin. The name and the declared type are the sender's words.
_KINDS = (
    (b"%PDF-", ".pdf", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", ".png", "image/png"),
    (b"\xff\xd8\xff", ".jpg", "image/jpeg"),
)
_TYPES = {suffix: content_type for _start, suffix, content_type in _KINDS}


class VoucherRefused(PaycenterError):
    """The uploaded file is no voucher; the message says why, in the reader's language."""


@dataclass(frozen=True, slots=True)
class StoredVoucher:
    """`path` is relative to the voucher folder; `name` is what the uploader called it."""

    path: str
    name: str
    sha256: str


def voucher_folder() -> Path:
    """Where vouchers lie; readable by the center only."""
    return Path(settings.VAR_DIR) / "vouchers"


def voucher_store(*, name: str, chunks: Iterable[bytes]) -> StoredVoucher:
    """Check and keep an uploaded file. Raises VoucherRefused for an empty, too large or other kind of file."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > MAX_BYTES:
            raise VoucherRefused(_("The file is larger than %(size)d MB.") % {"size": MAX_BYTES // 1024 // 1024})
    suffix = next((suffix for start, suffix, _type in _KINDS if content.startswith(start)), None)
    if suffix is None:
        raise VoucherRefused(_("Only PDF, PNG and JPEG files are accepted."))
    digest = hashlib.sha256(content).hexdigest()
    path = f"{digest[:2]}/{secrets.token_hex(16)}{suffix}"
    target = voucher_folder() / path
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with target.open("xb") as out:
        target.chmod(0o600)
        out.write(content)
    return StoredVoucher(path=path, name=Path(name.replace("\\", "/")).name[:128], sha256=digest)


def voucher_read(path: str) -> tuple[bytes, str]:
    """A stored voucher's bytes and content type. Raises FileNotFoundError."""
    folder = voucher_folder().resolve()
    target = (folder / path).resolve()
    if not target.is_relative_to(folder) or target.suffix not in _TYPES:
        raise FileNotFoundError(path)
    return target.read_bytes(), _TYPES[target.suffix]


def voucher_drop(path: str) -> None:
    """Remove a stored file that no payout came to name."""
    (voucher_folder() / path).unlink(missing_ok=True)
