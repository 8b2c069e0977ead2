"""The words of alerts: kept as message ids with what fills them, and said in the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.urls import NoReverseMatch, reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from notifications.kinds import advice_of, kind_label
from notifications.models import Alert, AlertSeverity
from paycenter.masking import mask_text
from paycenter.staff.reasons import reason_word

Escape = Callable[[str], str]
IN_FULL = 10  # alerts one message tells in full
_STAFF_URLS = "paycenter.urls.internal"  # where workers, too, know the admin's paths


def source_of(title: str, text: str, context: Mapping[str, object] | None) -> dict[str, Any]:
    """What `told` needs, masked and fit for JSON."""
    kept = None
    if context is not None:
        with translation.override(settings.LANGUAGE_CODE):
            kept = {name: _plain(value) for name, value in context.items()}
    return {"title": mask_text(title), "text": mask_text(text), "context": kept}


def _plain(value: object) -> Any:
    return value if isinstance(value, int | float) else mask_text(str(value))


def told(source: Mapping[str, Any], language: str) -> tuple[str, str]:
    """Title and text in a language, masked."""
    with translation.override(language):
        title, text = (_said(source.get(part, ""), source.get("context")) for part in ("title", "text"))
    return mask_text(title), mask_text(text)


def _said(message: str, context: Mapping[str, Any] | None) -> str:
    if not message:
        return ""
    if context is None:
        return _(message)
    return _(message) % {
        name: " ".join(reason_word(value).split()) if isinstance(value, str) else value
        for name, value in context.items()
    }


def compose(
    alerts: Sequence[Alert], language: str = "", max_bytes: int = 18_000, escape: Escape = str
) -> tuple[str, str]:
    """Title and Markdown of one message: the first alerts in full as far as they fit, the others as a number.

    `escape` is the receiver's; the title is plain text everywhere.
    """
    with translation.override(language or settings.LANGUAGE_CODE):
        first = words_of(alerts[0])[0]
        count = {"count": len(alerts), "first": first}
        title = first if len(alerts) == 1 else _("%(count)d alerts: %(first)s …") % count
        return " ".join(title.split()), _sections(alerts, max_bytes, escape)


def _sections(alerts: Sequence[Alert], max_bytes: int, escape: Escape) -> str:
    """At least the first; `max_bytes` keeps room for the line about the others."""
    rest, parts, used = "", [], 0
    for index, one in enumerate(alerts[:IN_FULL]):
        part = _section(one, most=min(1000, max_bytes // 8), escape=escape)
        used += len(part.encode()) + 8
        if index and used > max_bytes - 300:
            break
        parts.append(part)
    if len(parts) < len(alerts):
        others = {"count": len(alerts) - len(parts)}
        rest = link_line(_("and %(count)d more: see the list of alerts") % others, "notifications_alert_changelist")
    return "\n\n---\n\n".join([*parts, *([rest] if rest else [])])


def _section(alert: Alert, most: int, escape: Escape) -> str:
    title, text = words_of(alert)
    lines = [f"#### [{AlertSeverity(alert.severity).label}] {escape(title)}".replace("\n", " ")]
    if text:
        lines.append(escape(text if len(text) <= most else text[:most] + " …"))
    for label, value in (
        (_("Kind"), kind_label(alert.kind)),
        (_("Merchant"), alert.merchant_no),
        (_("Trade number"), alert.trade_no),
        (_("Times"), str(alert.count) if alert.count > 1 else ""),
        (_("First seen"), timezone.localtime(alert.created_at).strftime("%Y-%m-%d %H:%M:%S")),
        (_("What to do"), advice_of(alert.kind, alert.key)),
    ):
        if value:
            lines.append(f"> {label}: {escape(str(value))}")
    lines.append(link_line(_("Open it"), "notifications_alert_change", alert.pk))
    return "\n\n".join(line for line in lines if line)


def words_of(alert: Alert) -> tuple[str, str]:
    """An alert's title and text in the language of the present reader."""
    if not alert.source:
        return alert.title, alert.text
    title, text = told(alert.source, translation.get_language() or settings.LANGUAGE_CODE)
    return title[:160], text


def link_line(label: str, page: str, *args: object) -> str:
    """A Markdown link into the admin; the bare words where this installation has no such page."""
    try:
        return f"[{label}]({settings.STAFF_BASE_URL}{reverse(f'admin:{page}', urlconf=_STAFF_URLS, args=args)})"
    except NoReverseMatch:
        return label
