"""What this machine has to offer: folders, disk, time zones, message catalogues, the mail server."""

from __future__ import annotations

import gettext
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.utils.translation import gettext as _

from paycenter.doctor.finding import Finding, Level, error, in_production, ok, unreachable, warning

FOLDERS = ("bills", "vouchers", "application-documents", "exports")
_GIB = 1024**3
MAIL_SECONDS = 3.0


def machine() -> Iterator[Finding]:
    """Local things."""
    yield from _folders()
    yield from _secrets_file()
    yield from _disk()
    yield from _static()
    yield from _time_zone()
    yield from _catalogues()
    yield from _mail_server()


def _folders() -> Iterator[Finding]:
    root = Path(settings.VAR_DIR)
    for folder in filter(Path.exists, (root, *(root / name for name in FOLDERS))):
        if not os.access(folder, os.W_OK | os.X_OK):
            yield error("storage.writable", _("%(folder)s cannot be written.") % {"folder": folder},
                        _("Give it to the user the center runs as, or set PAYCENTER_VAR to another folder."))
        elif folder != root and stat.S_IMODE(folder.stat().st_mode) & 0o007:
            yield Finding("storage.private", in_production(Level.WARNING),
                          _("%(folder)s can be read by every user of the machine.") % {"folder": folder},
                          _("chmod o-rwx it."))  # fmt: skip
    for served in (Path(settings.STATIC_ROOT), *map(Path, settings.STATICFILES_DIRS)):
        if root == served or root.is_relative_to(served):
            yield error("storage.web_root", _("%(root)s lies below %(served)s, which the web serves.") % {
                "root": root, "served": served}, _("Set PAYCENTER_VAR to a folder that is not served."))  # fmt: skip


def _secrets_file() -> Iterator[Finding]:
    path = Path(settings.VAR_DIR) / "secrets.json"
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield error("storage.secrets", _("%(path)s can be read by other users.") % {"path": path},
                    _("chmod 600 it."))  # fmt: skip


def _disk() -> Iterator[Finding]:
    root = Path(settings.VAR_DIR)
    try:
        usage = shutil.disk_usage(root)
    except OSError as exc:
        yield unreachable("storage.disk", str(root), exc, _("Make the folder, or set PAYCENTER_VAR."))
        return
    free, words = usage.free / usage.total, {"free": f"{usage.free / _GIB:.1f}", "root": root}
    text = _("%(free)s GiB are free for %(root)s.") % words
    if usage.free < _GIB or free < 0.03:
        yield error("storage.disk", text, _("Make room now: bills, exports and logs cannot be written soon."))
    elif usage.free < 5 * _GIB or free < 0.1:
        yield warning("storage.disk", text, _("Make room, or move PAYCENTER_VAR to a larger disk."))
    else:
        yield ok("storage.disk", text)


def _static() -> Iterator[Finding]:
    root = Path(settings.STATIC_ROOT)
    if not settings.WHITENOISE_USE_FINDERS and not (root / "admin").exists():
        yield error("storage.static", _("The pages' styles and scripts are not in %(root)s.") % {"root": root},
                    _("Run manage.py collectstatic --noinput."))  # fmt: skip


def _time_zone() -> Iterator[Finding]:
    try:
        offset = datetime(2026, 1, 1, tzinfo=UTC).astimezone(ZoneInfo(settings.TIME_ZONE)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError):
        yield error("time.zone_data", _("The machine knows no time zone %(zone)s.") % {"zone": settings.TIME_ZONE},
                    _("Install the package tzdata."))  # fmt: skip
        return
    hours = offset.total_seconds() / 3600 if offset else 0
    if settings.TIME_ZONE == "Asia/Shanghai" and hours != 8:
        yield error("time.zone_data", _("The machine's time zone data is wrong: %(zone)s is at %(hours)s hours.") % {
            "zone": settings.TIME_ZONE, "hours": hours}, _("Install the package tzdata."))  # fmt: skip
        return
    yield ok("time.zone_data", _("Days begin by %(zone)s.") % {"zone": settings.TIME_ZONE})


def _catalogues() -> Iterator[Finding]:
    for folder in settings.LOCALE_PATHS:
        for source in sorted(Path(folder).glob("*/LC_MESSAGES/*.po")):
            compiled = source.with_suffix(".mo")
            try:
                with compiled.open("rb") as handle:
                    gettext.GNUTranslations(handle)
            except (OSError, ValueError):
                yield warning("messages.catalogue", _("%(name)s is missing or broken: pages are in English.") % {
                    "name": compiled}, _("Run manage.py compilemessages."))  # fmt: skip


def _mail_server() -> Iterator[Finding]:
    if not settings.EMAIL_HOST:
        return
    try:
        with socket.create_connection((settings.EMAIL_HOST, settings.EMAIL_PORT), MAIL_SECONDS):
            yield ok("mail.server", _("The mail server answers."))
    except OSError as exc:
        yield unreachable("mail.server", _("The mail server"), exc,
                          _("Correct PAYCENTER_SMTP_HOST and PAYCENTER_SMTP_PORT, or open the firewall."))  # fmt: skip
