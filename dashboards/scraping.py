"""What Prometheus is told of what stands in the database: a few statements at each scrape, bounded by indexes.

Counts stop at `bounded.COUNT_LIMIT`: an alarm does not need to know how many more there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.apps import apps
from django.db import DatabaseError
from django.db.models import Count, Min, Q
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dashboards.bounded import First, HowMany, ask, moment
from merchants.models import PaymentAccount
from merchants.states import MerchantState
from notifications.backlogs import WORK
from notifications.models import Notification, NotificationState
from paycenter import metrics
from paycenter.heartbeats import last_beats
from paycenter.models import AuditVerification
from paycenter.replica import PRIMARY, replica_lag, reporting
from reconciliation.models import Bill, Case, ReconciliationDay
from reconciliation.states import UNRESOLVED_CASE_STATES, BillState
from refunds.models import Refund
from refunds.states import RESERVING_STATES
from trades.models import AbnormalPayment, ChannelHealth, ChannelSwitch
from trades.shedding import SHED
from trades.states import AbnormalState

# Work that stands in the database; who has other work tells of it (`metrics.also_collect`).
_WORK = {name: work for name, work in WORK.items() if work.model}
_DAYS = timedelta(days=35)  # of reconciliation that are looked at


def render() -> bytes:
    """Everything `/metrics` answers. Without a database, what the processes count."""
    return metrics.render(DatabaseCollector())


class DatabaseCollector(Collector):
    """Due work, what waits for people, channels that are shed, days of reconciliation, signs of life."""

    def collect(self) -> Iterator[Metric]:
        try:
            found = list(_everything(timezone.now()))
        except DatabaseError:
            found = []
        yield GaugeMetricFamily("paycenter_database_up", "Whether the database answered", value=1 if found else 0)
        yield from found


def _everything(now: datetime) -> Iterator[Metric]:
    answers = ask(**_due(now), **_waiting(now))
    yield from _backlogs(answers, now)
    yield _gauge("paycenter_refunds_waiting", "Refunds that are not finished", "state", {
        state.value: answers[f"refund_{state.value}"] for state in RESERVING_STATES
    })  # fmt: skip
    for name, text in _PLAIN.items():
        yield GaugeMetricFamily(f"paycenter_{name}", text, value=answers[name])
    yield from _channels()
    yield _days(now)
    yield from _certificates(now)
    yield from _signs_of_life(now)


_PLAIN: Mapping[str, str] = {
    "notifications_given_up": "Notifications that no app acknowledged in time",
    "cases_open": "Differences of reconciliation nobody has explained",
    "abnormal_open": "Stray money that somebody has to decide about",
    "bills_refused": "Bills of the last 35 days that could not be believed",
}


def _waiting(now: datetime) -> dict[str, HowMany]:
    refunds = {f"refund_{state.value}": HowMany(Refund.objects.filter(state=state)) for state in RESERVING_STATES}
    return refunds | {
        "notifications_given_up": HowMany(Notification.objects.filter(state=NotificationState.GIVEN_UP)),
        "cases_open": HowMany(Case.objects.filter(state__in=UNRESOLVED_CASE_STATES)),
        "abnormal_open": HowMany(
            AbnormalPayment.objects.filter(state__in=(AbnormalState.OPEN, AbnormalState.UNVERIFIED))
        ),
        "bills_refused": HowMany(Bill.objects.filter(state=BillState.REFUSED, day__gte=_first_day(now))),
    }


def _due(now: datetime) -> dict[str, HowMany | First]:
    found: dict[str, HowMany | First] = {}
    for name, work in _WORK.items():
        rows = apps.get_model(work.model)._default_manager.filter(
            **{f"{work.column}__lte": now}, **dict(work.filters)
        )  # fmt: skip
        found |= {f"{name}_count": HowMany(rows), name: First(rows, work.column, "id" if work.filters else "")}
    return found


def _backlogs(answers: Mapping[str, Any], now: datetime) -> Iterator[Metric]:
    counts = {name: answers[f"{name}_count"] for name in _WORK}
    yield _gauge("paycenter_due", "Rows whose time has come", "work", counts)
    ages = {name: _seconds_since(moment(answers[name]), now) for name in _WORK}
    yield _gauge("paycenter_oldest_due_seconds", "How long the oldest due row has waited", "work", ages)


def _seconds_since(since: datetime | None, now: datetime) -> float:
    return max((now - since).total_seconds(), 0.0) if since else 0.0


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _channels() -> Iterator[Metric]:
    """Every account whose channel is not well, is shed or was switched by hand; others have no line."""
    breaker = GaugeMetricFamily(
        "paycenter_breaker_state", "0 closed after failures, 1 open, 2 off by hand, 3 kept on by hand",
        labels=["channel", "payment_no"],
    )  # fmt: skip
    rows = ChannelHealth.objects.exclude(switch=ChannelSwitch.AUTO, failures=0, opened_at__isnull=True)
    found = rows.select_related("account").only(
        "switch", "failures", "opened_at", "account__channel", "account__payment_no"
    )
    for health in found[:200]:
        breaker.add_metric([health.account.channel, health.account.payment_no], _breaker(health))
    yield breaker
    yield GaugeMetricFamily("paycenter_channels_shed", "Accounts that take no payments just now",
                            value=ChannelHealth.objects.filter(SHED).count())  # fmt: skip


def _breaker(health: ChannelHealth) -> int:
    if health.switch == ChannelSwitch.ALWAYS_OFF:
        return 2
    if health.switch == ChannelSwitch.ALWAYS_ON:
        return 3
    return 1 if health.opened_at is not None else 0


def _first_day(now: datetime) -> date:
    return timezone.localdate(now) - _DAYS


def _days(now: datetime) -> Metric:
    """Account days of the last weeks, by how far their reconciliation has come."""
    counts = ReconciliationDay.objects.filter(day__gte=_first_day(now)).aggregate(
        waiting=Count("id", filter=Q(matched_at__isnull=True)),
        due=Count("id", filter=Q(matched_at__isnull=False, next_match_at__isnull=False)),
        compared=Count("id", filter=Q(matched_at__isnull=False, next_match_at__isnull=True)),
    )
    return _gauge("paycenter_reconciliation_days", "Account days of the last 35 days, by state", "state", counts)


def _certificates(now: datetime) -> Iterator[Metric]:
    soonest = PaymentAccount.objects.filter(state=MerchantState.ACTIVE).aggregate(at=Min("certificate_expires_at"))
    if soonest["at"] is not None:
        yield GaugeMetricFamily("paycenter_certificate_seconds_left", "Until the first certificate of an account ends",
                                value=(soonest["at"] - now).total_seconds())  # fmt: skip


def _signs_of_life(now: datetime) -> Iterator[Metric]:
    ages = {part: _seconds_since(at, now) for part, at in last_beats().items()}
    yield _gauge("paycenter_heartbeat_age_seconds", "Since any worker, any beat was heard of", "part", ages)
    verified = AuditVerification.objects.order_by("-id").values_list("ok", "finished_at").first()
    if verified is not None:
        yield GaugeMetricFamily("paycenter_audit_ok", "Whether the audit chain held when last verified",
                                value=int(verified[0]))  # fmt: skip
        yield GaugeMetricFamily("paycenter_audit_age_seconds", "Since the audit chain was last verified",
                                value=_seconds_since(verified[1], now))  # fmt: skip
    lag = replica_lag() if reporting() != PRIMARY else None
    if lag is not None:
        yield GaugeMetricFamily("paycenter_replica_lag_seconds", "How far the database of reports is behind", value=lag)
