"""Whether everything that is stored encrypted opens, parses and fits together; what ends soon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from channels.base import keys
from channels.base.config import clean_config
from channels.base.discovery import provider_for
from merchants.models import App, AppKey, PaymentAccount
from merchants.onboarding import certificates_of
from merchants.states import MerchantState
from paycenter import crypto
from paycenter.doctor.finding import Finding, error, note, ok, warning
from paycenter.errors import ChannelConfigInvalid, ConfigError
from paycenter.management.commands.reencrypt import encrypted_models

SOON = timedelta(days=30)
SAMPLE = 200  # newest rows of tables that grow with every payment; of all others every row
_GROWING = ("trades", "refunds")


def secrets() -> Iterator[Finding]:
    """Encrypted columns, then payment accounts one by one, then apps."""
    closed = list(_columns())
    yield from closed or [ok("keys.encryption", _("Everything encrypted that was tried opens."))]
    if not closed:
        yield from _accounts(timezone.now())
        yield from _apps()


def _columns() -> Iterator[Finding]:
    for model, fields in encrypted_models():
        for field in fields:
            failed = [pk for pk, token in _tokens(model, field) if token and not _opens(token)]
            if failed:
                words = {"count": len(failed), "where": f"{model._meta.label}.{field.name}", "rows": failed[:5]}
                yield error("keys.encryption", _("%(count)d values of %(where)s open with none of the encryption keys;"
                                                 " rows %(rows)s.") % words,
                            _("Add the key that was in use to the end of PAYCENTER_ENCRYPTION_KEYS."))  # fmt: skip


def _tokens(model: type[models.Model], field: models.Field[Any, Any]) -> Iterator[tuple[Any, str | None]]:
    """Keys and stored text of the rows, as it is, the newest first."""
    quoted = connection.ops.quote_name
    table, column, key = quoted(model._meta.db_table), quoted(str(field.column)), quoted(str(model._meta.pk.column))
    limit = f"LIMIT {SAMPLE}" if model._meta.app_label in _GROWING else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {key}, {column} FROM {table} ORDER BY {key} DESC {limit}")  # noqa: S608
        yield from cursor.fetchall()


def _opens(token: str) -> bool:
    try:
        crypto.decrypt(token)
    except (ConfigError, ValueError):
        return False
    return True


def _accounts(now: datetime) -> Iterator[Finding]:
    used = PaymentAccount.objects.exclude(state__in=[MerchantState.CLOSED, MerchantState.DRAFT])
    count = 0
    for account in used.order_by("id").iterator(200):
        count += 1
        yield from account_findings(account, now)
    yield ok("keys.accounts", _("%(count)d payment accounts were looked through.") % {"count": count})


def account_findings(account: PaymentAccount, now: datetime) -> Iterator[Finding]:
    """What is wrong with one account's parameters, by name and never by value; certificates that end soon."""
    name = f"{account.channel} {account.payment_no}"
    try:
        provider = provider_for(account.channel)
    except KeyError:
        yield error("keys.channel", _("%(name)s: there is no such channel here.") % {"name": name},
                    _("Restore its folder below channels/, or close the account."))  # fmt: skip
        return
    try:
        clean_config(provider, account.config, now)
    except ChannelConfigInvalid as exc:
        yield error("keys.parameters", _("%(name)s: %(problems)s.") % {"name": name, "problems": _problems(exc)},
                    _("Enter the parameters anew under the account's channel parameters."))  # fmt: skip
    for held in certificates_of(provider, account.config):
        if held.ends_at > now + SOON:
            continue
        words = {"name": name, "field": held.field.label.text(get_language() or ""), "day": held.ends_at.date()}
        advice = _("Get a new certificate from the channel and upload it before that day.")
        finding = error if held.ends_at <= now else warning
        yield finding("keys.certificate", _("%(name)s: %(field)s ends on %(day)s.") % words, advice)


def _problems(exc: ChannelConfigInvalid) -> str:
    language = get_language() or ""
    found: Mapping[str, Any] = exc.problems
    return "; ".join(f"{name}: {', '.join(label.text(language) for label in labels)}" for name, labels in found.items())


def _apps() -> Iterator[Finding]:
    for key in AppKey.objects.select_related("app").order_by("id").iterator(200):
        if key.kind != AppKey.Kind.HMAC and not _parses(key.value):
            yield error("keys.app", _("App %(app)s: its public key cannot be read.") % {"app": key.app.app_id},
                        _("Store the app's key anew."))  # fmt: skip
    with_keys = AppKey.objects.values("app_id")
    for app in App.objects.filter(is_active=True).exclude(pk__in=with_keys):
        yield warning("keys.app", _("App %(app)s has no key: it cannot call.") % {"app": app.app_id},
                      _("Give it a key in the admin, or switch the app off."))  # fmt: skip
    changing = AppKey.objects.filter(slot=AppKey.Slot.PREVIOUS).values_list("app__app_id", flat=True).distinct()
    if names := sorted(changing):
        yield note("keys.app_previous", _("Apps with a previous key that is still accepted: %(apps)s.") % {
            "apps": ", ".join(names[:10])}, _("Once they have changed over, forget the previous key."))  # fmt: skip


def _parses(text: str) -> bool:
    try:
        keys.parse_public_key(text)
    except keys.KeyProblem:
        return False
    return True
