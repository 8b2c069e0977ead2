"""The operators' dashboard: is money coming in, do the channels answer, is anything left lying."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from dashboards.backlog import Waiting, not_in_the_sums, questions, spell, waiting
from dashboards.bounded import HowMany, ask, at_most
from dashboards.look import Look, amounts_chart, channel_name, counts_chart, lines_chart, notice, paid_figures, points
from dashboards.open_work import abnormal_figure, abnormal_payments, bad_if, differences, differences_figure
from dashboards.parts import Cell, Chart, Dashboard, Figure, Table, change, duration, number, seconds, share
from dashboards.reading import Sums, Totals, answered_within, center_sums
from dashboards.recent import recent_calls
from merchants.admin.account import ending_certificates
from merchants.forms import method_label
from merchants.models import PaymentAccount
from notifications.models import Notification, NotificationState
from paycenter.staff.reasons import reason_word
from trades.models import ChannelHealth
from trades.shedding import SHED

_SHOWN = 20


def operations(look: Look) -> Dashboard:
    """Volume, success and answer times of channels, what is shed, overdue, given up or about to expire."""
    now = timezone.now()
    sums = center_sums(look.period)
    currency = look.currency_of(sums)
    shed = list(ChannelHealth.objects.filter(SHED).select_related("account").defer("account__config")[:_SHOWN])
    ending = list(_ending().defer("config").order_by("certificate_expires_at")[:_SHOWN])
    answers = ask(**questions(now), **_open_work())
    backlog = waiting(answers, now)
    panels: list[Chart | Table] = [
        _payments_chart(look, sums), amounts_chart(look, sums, currency, wide=False), _success_chart(look, sums),
        _times_chart(look, sums), _channels_table(look, sums), _lately_table(now), _backlog_table(backlog, answers),
        _shed_table(look, shed), _certificates_table(look, ending, now),
    ]  # fmt: skip
    return Dashboard(
        _("Operations"), [*paid_figures(look, sums), *_rates(look, sums)], panels,
        _now_figures(look, answers, backlog), sums.currencies, currency, notice(look, sums),
    )  # fmt: skip


def _open_work() -> dict[str, HowMany]:
    return {
        "given_up": HowMany(Notification.objects.filter(state=NotificationState.GIVEN_UP)),
        "differences": HowMany(differences()), "abnormal": HowMany(abnormal_payments()),
        "shed": HowMany(ChannelHealth.objects.filter(SHED)), "ending": HowMany(_ending()),
    }


def _ending() -> Any:
    return ending_certificates(PaymentAccount.objects.all())


def _rates(look: Look, sums: Sums) -> list[Figure]:
    now, before = sums.total(), sums.total_before()
    rates = (
        (_("Attempts that were paid"), "succeeded_count", "", "check_circle", _succeeded(look), ""),
        (_("Refused by channels"), "failed_count", "bad", "block", _refused(look), ""),
        # What became of them later is what an attempt's row tells; its first outcome is in the events only.
        (_("Outcome unknown at first"), "unknown_count", "warn", "help", look.attempts(state__exact="unknown"),
         _("the list shows those still unknown")),
    )  # fmt: skip
    found = []
    for title, name, tone, icon, link, said in rates:
        rate = share(now[name], now["asked_count"])
        note = _("%(part)s of %(whole)s") % {"part": f"{now[name]:,}", "whole": f"{now['asked_count']:,}"}
        worse = tone if (rate.plain or 0) > 5 else "calm"
        note = _("%(figure)s; %(more)s") % {"figure": note, "more": said} if said and link else note
        moved = points(now, before, name, "asked_count")
        found.append(Figure(title, rate.text, note, link, worse or "calm", icon, moved))
    answered = seconds(now["answer_us"], now["answer_count"])
    note = _("95 %% of answers %(bound)s") % {"bound": answered_within(now, 95)} if now["answer_count"] else ""
    moved = change(answered.plain or 0, seconds(before["answer_us"], before["answer_count"]).plain or 0)
    return [*found, Figure(_("Channels answer in"), answered.text, note, icon="speed", change=moved)]


def _succeeded(look: Look, **query: Any) -> str:
    return look.attempts(state__exact="succeeded", **query)


def _refused(look: Look, **query: Any) -> str:
    """Attempts that their channel refused; what was overtaken before it was sent is not among them."""
    return look.attempts(state__exact="failed", sent=1, **query)


def _now_figures(
    look: Look, answers: Mapping[str, Any], backlog: list[Waiting]
) -> list[Figure]:
    oldest, shed, ending = backlog[0], answers["shed"], answers["ending"]
    due = oldest.name if oldest.overdue is not None else _("nothing is overdue")
    certificates = look.link("merchants.paymentaccount", certificate="ending", o="7")
    return [
        Figure(
            _("Channels shed"), at_most(shed), "", look.link("trades.channelhealth", shed=1), bad_if(shed),
            "monitor_heart",
        ),
        Figure(_("Longest overdue"), spell(oldest.overdue), due, "#backlog", oldest.tone or "calm", "hourglass"),
        Figure(
            _("Notifications given up"), at_most(answers["given_up"]), "",
            look.link("notifications.notification", state__exact="given_up", day_all=1), bad_if(answers["given_up"]),
            "outbox",
        ),
        differences_figure(look, answers["differences"]), abnormal_figure(look, answers["abnormal"]),
        Figure(
            _("Certificates expiring"), at_most(ending), _("within 30 days"), certificates,
            "warn" if ending else "calm", "workspace_premium",
        ),
    ]  # fmt: skip


def _payments_chart(look: Look, sums: Sums) -> Chart:
    daily = sums.daily_by(lambda row: row["channel"])
    paying = {code: days for code, days in daily.items() if any(day["paid_count"] for day in days)}
    series = [
        (channel_name(code), days, "paid_count", partial(look.paid, channel=code))
        for code, days in sorted(paying.items())
    ]
    return counts_chart(look, "payments", _("Payments per day by channel"), "stack", series)


def _lines(sums: Sums, cell: Callable[[Totals], Cell]) -> dict[str, list[Cell]]:
    """A line for each channel that was asked."""
    daily = sums.daily_by(lambda row: row["channel"])
    asked = {code: days for code, days in daily.items() if code and any(day["asked_count"] for day in days)}
    return {channel_name(code): [cell(day) for day in days] for code, days in asked.items()}


def _success_chart(look: Look, sums: Sums) -> Chart:
    lines = _lines(sums, lambda day: share(day["succeeded_count"], day["asked_count"]))
    total = sums.total()
    said = share(total["succeeded_count"], total["asked_count"]).text
    return lines_chart(
        look, "success", _("Attempts that were paid, by channel"), "%", lines,
        _("Of all attempts of these days %(share)s were paid.") % {"share": said},
    )  # fmt: skip


def _times_chart(look: Look, sums: Sums) -> Chart:
    lines = _lines(sums, lambda day: seconds(day["answer_us"], day["answer_count"]))
    total = sums.total()
    said = seconds(total["answer_us"], total["answer_count"]).text
    return lines_chart(
        look, "times", _("Mean time until a channel answers"), "ms", lines,
        _("On average a channel answered within %(time)s.") % {"time": said},
    )  # fmt: skip


def _channels_table(look: Look, sums: Sums) -> Table:
    found = {key: row for key, row in sums.by(lambda row: (row["channel"], row["method"])).items() if key[0] and key[1]}
    rows = []
    for (channel, method), row in sorted(found.items(), key=lambda item: -item[1]["asked_count"]):
        rows.append([
            Cell(channel_name(channel)), Cell(method_label(method)),
            number(row["asked_count"], look.attempts(method=method)),
            number(row["paid_count"], look.paid(method=method)),
            share(row["succeeded_count"], row["asked_count"], _succeeded(look, method=method)),
            share(row["failed_count"], row["asked_count"], _refused(look, method=method), worse_above=5),
            share(row["unknown_count"], row["asked_count"], worse_above=2),
            seconds(row["answer_us"], row["answer_count"]), Cell(answered_within(row, 95), numeric=True),
            number(row["refund_count"], look.refunded(method=method)),
        ])  # fmt: skip
    heads = [_("Channel"), _("Pay method"), _("Attempts"), _("Payments"), _("Paid"), _("Refused"), _("Unknown"),
             _("Mean answer"), _("95 % of answers"), _("Refunds")]  # fmt: skip
    empty = _("No channel was asked on these days. Choose more days above.")
    return Table("channels", _("Channels and pay methods"), heads, rows, empty, wide=True)


def _lately_table(now: datetime) -> Table:
    lately, rows = recent_calls(now), []
    for code, calls in sorted(lately.calls.items()):
        count = len(calls.times)
        rows.append([
            Cell(channel_name(code)), number(count), share(calls.errors, count, worse_above=2),
            *(Cell(duration(calls.quantile(q)), calls.quantile(q), numeric=True) for q in (50, 95)),
        ])  # fmt: skip
    heads = [_("Channel"), _("Calls"), _("Errors"), _("Median"), _("95 % within")]
    note = _("From the newest exchanges: calls to channels of every kind.")
    if not lately.is_whole:
        note += " " + _("So many were written that they only reach %(time)s back, not an hour.") % {
            "time": spell(lately.covered)
        }  # fmt: skip
    return Table("lately", _("Channels in the last hour"), heads, rows, _("No channel was called in the last hour."),
                 note=note)  # fmt: skip


def _backlog_table(backlog: list[Waiting], answers: Mapping[str, Any]) -> Table:
    rows = [
        [Cell(work.name), Cell(at_most(work.count), work.count, numeric=True),
         Cell(spell(work.overdue), int(work.overdue.total_seconds()) if work.overdue is not None else None,
              tone=work.tone, numeric=True)]
        for work in backlog if work.count
    ]  # fmt: skip
    behind = not_in_the_sums(answers)
    note = _("These figures lack the last %(count)s events.") % {"count": f"{behind:,}"} if behind else ""
    heads = [_("Work"), _("Due"), _("Oldest overdue")]
    return Table("backlog", _("Due and not done yet"), heads, rows, _("Nothing waits: all workers keep up."), note=note)


def _shed_table(look: Look, shed: list[ChannelHealth]) -> Table:
    local = timezone.localtime
    rows = [
        [Cell(str(row.account), link=look.page("trades.channelhealth", row.pk)),
         Cell(channel_name(row.account.channel)),
         Cell(f"{local(row.opened_at):%m-%d %H:%M}" if row.opened_at else _("by hand")),
         Cell(reason_word(row.last_error) or "–")]
        for row in shed
    ]  # fmt: skip
    heads = [_("Payment account"), _("Channel"), _("Since"), _("Last error")]
    return Table("shed", _("Channels shed"), heads, rows, _("Every channel is in use."))


def _certificates_table(look: Look, ending: list[PaymentAccount], now: datetime) -> Table:
    rows = []
    for account in ending:
        ends = account.certificate_expires_at
        assert ends is not None  # noqa: S101  the query asks for it
        days = (ends - now).days
        rows.append([
            Cell(str(account), link=look.page("merchants.paymentaccount", account.pk)),
            Cell(channel_name(account.channel)), Cell(f"{timezone.localtime(ends):%Y-%m-%d}"),
            number(days, tone="bad" if days < 7 else "warn"),
        ])  # fmt: skip
    heads = [_("Payment account"), _("Channel"), _("Expires on"), _("Days left")]
    empty = _("No certificate expires within 30 days.")
    return Table("certificates", _("Certificates about to expire"), heads, rows, empty)
