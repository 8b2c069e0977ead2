"""Files that people hand over: checked by their first bytes, kept outside the web root under a made-up name."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext as _

from paycenter.errors import PaycenterError
from paycenter.places import files_dir

MAX_BYTES = 5 * 1024 * 1024
ACCEPT = ".pdf,.png,.jpg,.jpeg"
# The only kinds taken, by how their files begin. The name and the declared type are the sender's words.
_KINDS = (
    (b"%PDF-", ".pdf", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", ".png", "image/png"),
    (b"\xff\xd8\xff", ".jpg", "image/jpeg"),
)
_TYPES = {suffix: content_type for _start, suffix, content_type in _KINDS}


class UploadRefused(PaycenterError):
    """The uploaded file cannot be taken; the message says why, in the reader's language."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """`path` is relative to its folder; `name` is what the uploader called it; `size` in bytes."""

    path: str
    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class UploadFolder:
    """One folder below the data directory, readable by the center only."""

    name: str

    @property
    def root(self) -> Path:
        return files_dir() / self.name

    def store(self, *, name: str, chunks: Iterable[bytes]) -> StoredFile:
        """Check and keep an uploaded file. Raises UploadRefused for an empty, too large or other kind of file."""
        content = bytearray()
        for chunk in chunks:
            content += chunk
            if len(content) > MAX_BYTES:
                raise UploadRefused(_("The file is larger than %(size)d MB.") % {"size": MAX_BYTES // 1024 // 1024})
        suffix = next((suffix for start, suffix, _type in _KINDS if content.startswith(start)), None)
        if suffix is None:
            raise UploadRefused(_("Only PDF, PNG and JPEG files are accepted."))
        digest = hashlib.sha256(content).hexdigest()
        path = f"{digest[:2]}/{secrets.token_hex(16)}{suffix}"
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with target.open("xb") as out:
            target.chmod(0o600)
            out.write(content)
        shown = Path(name.replace("\\", "/")).name[:128]
        return StoredFile(path=path, name=shown, sha256=digest, size=len(content))

    def read(self, path: str) -> tuple[bytes, str]:
        """A stored file's bytes and content type. Raises FileNotFoundError."""
        folder = self.root.resolve()
        target = (folder / path).resolve()
        if not target.is_relative_to(folder) or target.suffix not in _TYPES or not target.is_file():
            raise FileNotFoundError(path)
        return target.read_bytes(), _TYPES[target.suffix]

    def drop(self, path: str) -> None:
        """Remove a stored file that no record came to name."""
        (self.root / path).unlink(missing_ok=True)
