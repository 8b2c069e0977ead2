"""Settings that are missing, contradict each other or are unsafe."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.utils.translation import gettext as _

from paycenter.doctor.finding import Finding, Level, error, in_production, is_production, note, ok, warning
from paycenter.middleware import parse_network

# Names that other parts than the settings read.
_ELSEWHERE = frozenset((
    "PAYCENTER_PORT", "PAYCENTER_SANDBOX_PORT", "PAYCENTER_VENV", "PAYCENTER_PYTHON", "PAYCENTER_VECTORS",
    "PAYCENTER_SIMULATION_SECONDS", "PAYCENTER_TEST_WORKER", "PAYCENTER_MIGRATED",
))  # fmt: skip


def configuration() -> Iterator[Finding]:
    """Everything that needs no connection to be judged."""
    yield from _mode()
    yield from _keys()
    yield from _addresses()
    yield from _networks()
    yield from _servers()
    yield from _mail()
    yield from _unknown_names(os.environ)
    yield from _django()


def _mode() -> Iterator[Finding]:
    if settings.DEBUG:
        yield Finding("configuration.debug", in_production(Level.ERROR), _("DEBUG is on: error pages show settings."),
                      _("Unset DEBUG."))  # fmt: skip
    if is_production():
        yield ok("configuration.mode", _("Production mode, entrance %(entrance)s.") % {"entrance": settings.ENTRANCE})
    else:
        yield note("configuration.mode", _("Embedded mode: for one machine and for trying out."),
                   _("For real money set PAYCENTER_MODE=production; it refuses what is unsafe and names it."))


def _keys() -> Iterator[Finding]:
    if len(settings.SECRET_KEY) < 50:
        yield Finding("configuration.secret_key", in_production(Level.ERROR), _("SECRET_KEY is short."),
                      _("Set SECRET_KEY to 50 or more random characters; staff sign in again afterwards."))  # fmt: skip
    count = len(settings.ENCRYPTION_KEYS)
    if count == 0:
        yield error("configuration.encryption_keys", _("PAYCENTER_ENCRYPTION_KEYS is not set: no secret can be read."),
                    _("Set it to the keys that were in use; without them accounts and apps need new secrets."))
    elif count > 1:
        yield note("configuration.encryption_keys", _("%(count)d encryption keys are in use.") % {"count": count},
                   _("After manage.py reencrypt only the first is needed; take the others out."))  # fmt: skip
    else:
        yield ok("configuration.encryption_keys", _("One encryption key is in use."))


def _addresses() -> Iterator[Finding]:
    if "*" in settings.ALLOWED_HOSTS or not settings.ALLOWED_HOSTS:
        yield Finding("configuration.allowed_hosts", in_production(Level.ERROR),
                      _("ALLOWED_HOSTS lets any host name in, or none."),
                      _("Name the hosts this process is reached by."))  # fmt: skip
    host = urlsplit(settings.PUBLIC_BASE_URL).hostname or ""
    if not settings.PUBLIC_BASE_URL.startswith("https://"):
        yield Finding("configuration.public_url", in_production(Level.ERROR),
                      _("PAYCENTER_PUBLIC_URL is not https: channels send notifications there in the open."),
                      _("Set it to the https address of the public entrance."))  # fmt: skip
    if _is_private(host):
        yield Finding("configuration.public_url_private", in_production(Level.ERROR),
                      _("PAYCENTER_PUBLIC_URL is an address that no channel can reach: %(host)s.") % {"host": host},
                      _("Set it to what payers and channels reach from the Internet."))  # fmt: skip
    if settings.STAFF_BASE_URL == settings.PUBLIC_BASE_URL and is_production():
        yield warning("configuration.staff_url", _("PAYCENTER_STAFF_URL is not set: links in alerts lead to the public"
                                                   " entrance, which has no admin."),
                      _("Set it to where staff reach the admin."))  # fmt: skip


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host


def _networks() -> Iterator[Finding]:
    for name, value in (("PAYCENTER_TRUSTED_PROXIES", settings.TRUSTED_PROXIES),
                        ("PAYCENTER_INTERNAL_NETWORKS", settings.INTERNAL_NETWORKS),
                        ("PAYCENTER_EGRESS_ALLOWED", settings.EGRESS_ALLOWED)):  # fmt: skip
        for one in value:
            network = parse_network(one)
            if network is None:
                yield error("configuration.networks", _("%(name)s holds %(one)s, which is no network.") % {
                    "name": name, "one": one}, _("Write networks like 10.0.0.0/8, separated by commas."))  # fmt: skip
            elif network.prefixlen == 0:
                yield error("configuration.networks", _("%(name)s holds the whole Internet.") % {"name": name},
                            _("Name only your own networks: anybody may claim any address otherwise."))  # fmt: skip
    if is_production() and not settings.TRUSTED_PROXIES:
        yield warning("configuration.trusted_proxies", _("PAYCENTER_TRUSTED_PROXIES is empty: behind a load balancer"
                                                         " every client has the balancer's address."),
                      _("Name the balancer's addresses, unless clients connect directly."))  # fmt: skip
    if settings.EGRESS_ALLOWED:
        yield Finding("configuration.egress", in_production(Level.ERROR),
                      _("PAYCENTER_EGRESS_ALLOWED opens networks that are not public."), _("Unset it."))  # fmt: skip


def _servers() -> Iterator[Finding]:
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        yield Finding("configuration.database", in_production(Level.WARNING),
                      _("The database is SQLite: one writer at a time, one machine."),
                      _("Set DATABASE_URL to a PostgreSQL."))  # fmt: skip
    if not settings.REDIS_URL:
        yield Finding("configuration.redis", in_production(Level.WARNING),
                      _("REDIS_URL is not set: every process counts call rates for itself."),
                      _("Set REDIS_URL."))  # fmt: skip
    if settings.CELERY_BROKER_URL.startswith(("memory", "filesystem")):
        yield Finding("configuration.broker", in_production(Level.ERROR),
                      _("The broker works inside one process or machine only."),
                      _("Set CELERY_BROKER_URL or REDIS_URL."))  # fmt: skip
    pool = settings.DATABASES["default"].get("OPTIONS", {}).get("pool", {})
    if isinstance(pool, Mapping) and pool.get("max_size", 4) < 4:
        yield warning("configuration.pool", _("PAYCENTER_DB_POOL leaves a process %(size)d connections.") % {
            "size": pool["max_size"]}, _("Set it to 8 or more."))  # fmt: skip


def _mail() -> Iterator[Finding]:
    if not settings.EMAIL_HOST:
        yield Finding("configuration.mail", in_production(Level.WARNING),
                      _("No mail server is set: invitations and alerts by mail are not sent."),
                      _("Set PAYCENTER_SMTP_HOST and PAYCENTER_MAIL_FROM."))  # fmt: skip
        return
    if settings.EMAIL_USE_SSL and settings.EMAIL_USE_TLS:
        yield error("configuration.mail", _("PAYCENTER_SMTP_SSL and PAYCENTER_SMTP_STARTTLS exclude each other."),
                    _("Set one of them to 0: SSL for port 465, STARTTLS for 587."))  # fmt: skip
    if settings.EMAIL_HOST_PASSWORD and not (settings.EMAIL_USE_SSL or settings.EMAIL_USE_TLS):
        yield warning("configuration.mail_open", _("The mail server's password is sent in the open."),
                      _("Set PAYCENTER_SMTP_SSL or PAYCENTER_SMTP_STARTTLS to 1."))  # fmt: skip
    if settings.DEFAULT_FROM_EMAIL.endswith("@localhost"):
        yield warning("configuration.mail_from", _("Mail is sent from localhost, which many servers refuse."),
                      _("Set PAYCENTER_MAIL_FROM to an address of yours."))  # fmt: skip


def _unknown_names(environ: Mapping[str, str]) -> Iterator[Finding]:
    """A misspelt name has no effect, silently."""
    source = (Path(settings.BASE_DIR) / "paycenter" / "settings.py").read_text(encoding="utf-8")
    known = set(re.findall(r"\"(PAYCENTER_[A-Z_]+)\"", source)) | _ELSEWHERE
    for name in sorted(name for name in environ if name.startswith("PAYCENTER_") and name not in known):
        yield warning("configuration.unknown", _("%(name)s is no setting; it has no effect.") % {"name": name},
                      _("Correct its name, or remove it."))  # fmt: skip


def _django() -> Iterator[Finding]:
    """What Django itself finds; what only a proxy in front can do about HTTPS is not asked of it here."""
    found = checks.run_checks(include_deployment_checks=is_production())
    for message in found:
        if message.id in ("security.W004", "security.W008", "security.W021") or message.is_silenced():
            continue
        level = Level.ERROR if message.level >= checks.ERROR else Level.WARNING
        yield Finding(f"django.{message.id}", level, str(message.msg), str(message.hint or _("See Django's checks.")))
