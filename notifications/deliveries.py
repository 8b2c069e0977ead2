"""Delivering the outbox: claim what is due, send it side by side, write down what came back.

A claim moves `next_delivery_at` a lease into the future, so that no other worker takes the row and a
dead worker's rows come due again. Sending happens on the HTTP loop outside any transaction; results
are written in small groups as they come in, so that one slow receiver holds up nobody else. On PostgreSQL
the frequent steps are the statements of `notifications.outbox`.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_noop

from notifications import outbox
from notifications.alerts import alert
from notifications.models import BY_SCHEDULE, Delivery, Notification, NotificationState
from notifications.signing import acknowledges, signed_headers
from paycenter import tracing
from paycenter.errors import ConfigError, NotSent, UnknownOutcome
from paycenter.http import HttpClient, HttpResponse, TimeLimits, call_on_loop
from paycenter.masking import mask_text
from paycenter.metrics import count_delivery, count_given_up
from paycenter.outbound import client
from paycenter.schedules import delay_for
from paycenter.transitions import record_event

log = structlog.get_logger(__name__)
LEASE = timedelta(seconds=60)
LIMITS = TimeLimits(connect=3.0, total=10.0)
MAX_ANSWER_BYTES = 64 * 1024
SLOTS = 400  # messages in flight at once, per process
SLOTS_PER_HOST = 100
SLOTS_OF_NEW_HOST = 20  # for a receiver that has not answered yet while something is on its way to it
SLOTS_OF_SLOW_HOST = 4  # for a receiver that just let a message time out
_WINDOW = 400  # due rows looked at in one claim
_GROUP = 200  # results written in one transaction
_AT_ONCE = 10  # messages started in one turn of the loop
_GATHER = 0.05  # seconds in which results become a group while others are on their way
_POLL = 0.1  # seconds without any result before what is due is looked at again


@dataclass(frozen=True, slots=True)
class Claim:
    """A row this process may send until `until`; `secrets` are the app's, the current one first."""

    pk: int
    webhook_id: str
    url: str
    host: str
    body: bytes
    secrets: tuple[str, ...]
    by: str
    until: datetime
    trade_no: str = ""
    origin: str = ""  # of the trace it belongs to, where there are traces


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try ended. `status` is None when there was no answer; `slow` when time ran out."""

    claim: Claim
    started_at: datetime
    elapsed_ms: int
    status: int | None = None
    response: str = ""
    error: str = ""
    acknowledged: bool = False
    slow: bool = False


# ---- claiming ------------------------------------------------------------------------------------
def claim(*, limit: int, room: Mapping[str, int], default_room: int = SLOTS_OF_NEW_HOST) -> list[Claim]:
    """Claim up to `limit` due rows, longest due first, and of each host no more than it has room for.

    `room` holds the hosts with messages in flight; any other host has `default_room`.
    """
    if limit <= 0:
        return []
    now = timezone.now()
    take = outbox.claim_rows if connection.vendor == "postgresql" else _claim_rows
    rows = take(now=now, until=now + LEASE, window=_WINDOW, limit=limit, room=room, default_room=default_room)
    return _claims(rows, now + LEASE)


def _claim_rows(
    *, now: datetime, until: datetime, window: int, limit: int, room: Mapping[str, int], default_room: int
) -> list[tuple[Any, ...]]:
    """As `outbox.claim_rows`, for any database."""
    full = [host for host, free in room.items() if free <= 0]
    due = Notification.objects.filter(next_delivery_at__lte=now).exclude(host__in=full)
    if not due.exists():  # the common case takes no write lock
        return []
    with transaction.atomic():
        rows = due.select_for_update(skip_locked=True, of=("self",)).order_by("next_delivery_at", "id")
        chosen = _fair_share(rows.values_list("pk", "host")[:window], limit, room, default_room)
        Notification.objects.filter(pk__in=chosen).update(next_delivery_at=until)
    columns = (*outbox.COLUMNS, *(f"app__{column}" for column in outbox.SECRETS))
    return list(Notification.objects.filter(pk__in=chosen).values_list(*columns)) if chosen else []


def _fair_share(due: Iterable[tuple[int, str]], limit: int, room: Mapping[str, int], default_room: int) -> list[int]:
    chosen: list[int] = []
    taken: Counter[str] = Counter()
    for pk, host in due:
        if len(chosen) < limit and taken[host] < room.get(host, default_room):
            taken[host] += 1
            chosen.append(pk)
    return chosen


def _claims(rows: list[tuple[Any, ...]], until: datetime) -> list[Claim]:
    return [
        Claim(
            pk=pk, webhook_id=webhook_id, url=url, host=host, body=body.encode(), secrets=tuple(filter(None, secrets)),
            by=resend_by or BY_SCHEDULE, until=until, trade_no=trade_no, origin=tracing.origin_of(trade_no),
        )
        for pk, webhook_id, url, host, body, trade_no, resend_by, *secrets in sorted(rows)
    ]  # fmt: skip


# ---- sending -------------------------------------------------------------------------------------
async def send(claim: Claim, http: HttpClient) -> Outcome:
    """One try. Never raises: whatever goes wrong is an outcome."""
    with tracing.continued(claim.origin, "deliver", trade_no=claim.trade_no, webhook_id=claim.webhook_id):
        return await _send(claim, http)


async def _send(claim: Claim, http: HttpClient) -> Outcome:
    started_at, started = timezone.now(), time.monotonic()

    def ended(**how: object) -> Outcome:
        outcome = Outcome(claim, started_at, int((time.monotonic() - started) * 1000), **how)  # type: ignore[arg-type]
        count_delivery(acknowledged=outcome.acknowledged, answered=outcome.status is not None,
                       seconds=outcome.elapsed_ms / 1000)  # fmt: skip
        return outcome

    try:
        headers = signed_headers(
            claim.secrets, webhook_id=claim.webhook_id, timestamp=int(started_at.timestamp()), body=claim.body
        )
        headers |= {"content-type": "application/json; charset=utf-8", "user-agent": "paycenter-webhooks/1"}
        answer = await http.fetch(
            "POST", claim.url, headers=headers, body=claim.body, limits=LIMITS, max_bytes=MAX_ANSWER_BYTES
        )
        how = _judge(answer)
    except (NotSent, UnknownOutcome, ConfigError) as exc:
        return ended(error=str(exc), slow=isinstance(exc.__cause__, asyncio.TimeoutError))
    except Exception as exc:  # a surprise in one message must not strand the others
        log.exception("delivery failed unexpectedly", webhook_id=claim.webhook_id, trade_no=claim.trade_no)
        return ended(error=f"internal error: {type(exc).__name__}")
    return ended(**how)


def _judge(answer: HttpResponse) -> dict[str, object]:
    acknowledged = acknowledges(answer.status, answer.body)
    if acknowledged:
        error = ""
    elif 200 <= answer.status < 300:
        error = "the answer is neither `success` nor JSON with errno 0"
    elif 300 <= answer.status < 400:
        error = "redirects are not followed"
    else:
        error = f"HTTP {answer.status}"
    return {
        "status": answer.status, "acknowledged": acknowledged, "error": error,
        "response": mask_text(answer.body, limit=500),
    }  # fmt: skip


# ---- writing -------------------------------------------------------------------------------------
def write(outcomes: list[Outcome]) -> None:
    """Write a group of outcomes in short transactions: the tries, and what becomes of each message."""
    acknowledged = [o for o in outcomes if o.acknowledged] if connection.vendor == "postgresql" else []
    if acknowledged:
        outbox.write_acknowledged(acknowledged, timezone.now())
    others = [o for o in outcomes if not o.acknowledged] if acknowledged else outcomes
    if others:
        _write(others)


@transaction.atomic
def _write(outcomes: list[Outcome]) -> None:
    now = timezone.now()
    rows = Notification.objects.select_for_update(of=("self",)).filter(pk__in=[o.claim.pk for o in outcomes])
    found = {row.pk: row for row in rows.defer("body").order_by("pk")}
    Delivery.objects.bulk_create([_delivery(o, found[o.claim.pk].tries + 1) for o in outcomes])
    acknowledged = [o.claim for o in outcomes if o.acknowledged]
    over = {claim.pk for claim in acknowledged if (found[claim.pk].resend_by or BY_SCHEDULE) == claim.by}
    _acknowledge(over, now, next_delivery_at=None, resend_by="")
    # Somebody has asked for these since: they are due all the same.
    _acknowledge({claim.pk for claim in acknowledged} - over, now)
    _schedule_again([(found[o.claim.pk], o) for o in outcomes if not o.acknowledged], now)


def _delivery(outcome: Outcome, number: int) -> Delivery:
    return Delivery(
        notification_id=outcome.claim.pk, number=number, started_at=outcome.started_at,
        elapsed_ms=outcome.elapsed_ms, status=outcome.status, response=outcome.response,
        error=mask_text(outcome.error, limit=300), acknowledged=outcome.acknowledged, by=outcome.claim.by,
    )  # fmt: skip


def _acknowledge(ids: set[int], now: datetime, **more: Any) -> None:
    if ids:
        Notification.objects.filter(pk__in=ids).update(
            state=NotificationState.DELIVERED, tries=F("tries") + 1,
            delivered_at=Coalesce("delivered_at", Value(now)), **more,
        )  # fmt: skip


def _schedule_again(failed: list[tuple[Notification, Outcome]], now: datetime) -> None:
    """Rows that were claimed anew meanwhile keep that claim; final ones stay as they are."""
    for row, outcome in failed:
        row.tries += 1
        if row.next_delivery_at != outcome.claim.until:
            continue
        row.resend_by = ""
        delay = delay_for("delivery", row.tries) if row.state == NotificationState.PENDING else None
        row.next_delivery_at = None if delay is None else now + timedelta(seconds=delay)
        if delay is None and row.state == NotificationState.PENDING:
            _give_up(row, outcome)
    fields = ["state", "tries", "next_delivery_at", "resend_by"]
    Notification.objects.bulk_update([row for row, _outcome in failed], fields)


def _give_up(row: Notification, outcome: Outcome) -> None:
    row.state = NotificationState.GIVEN_UP
    transaction.on_commit(count_given_up)
    reason = outcome.error[:300]
    record_event(
        row, "notification.given_up", actor="system", reason=reason, from_state=NotificationState.PENDING,
        to_state=NotificationState.GIVEN_UP,
        detail={"webhook_id": row.webhook_id, "type": row.type, "tries": row.tries},
    )  # fmt: skip
    alert(
        kind="give_up", key=f"give_up:{row.app_id}:{row.host}", severity="critical", trade_no=row.trade_no,
        title=gettext_noop("An app does not acknowledge notifications: %(host)s"),
        text=gettext_noop("%(type)s %(id)s was given up after %(tries)d tries. Last: %(reason)s"), record=row,
        context={"host": row.host, "type": row.type, "id": row.webhook_id, "tries": row.tries, "reason": reason},
    )  # fmt: skip


# ---- all of it together --------------------------------------------------------------------------
class Flight:
    """Messages on their way. The pump's thread starts them, the HTTP loop sends them, and what has ended comes back
    in groups: waking a thread for each message costs more than writing it down.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        # These four belong to the loop.
        self._waiting: deque[Claim] = deque()
        self._flying: dict[int, asyncio.Task[None]] = {}  # by the messages' keys
        self._ended: list[Outcome | Exception] = []
        self._timer: asyncio.TimerHandle | None = None
        self._groups: queue.SimpleQueue[list[Outcome | Exception]] = queue.SimpleQueue()

    def start(self, claims: Sequence[Claim]) -> None:
        """Send these. For the pump's thread."""
        call_on_loop(partial(self._add, claims))

    def group(self) -> list[Outcome]:
        """The next group of what has ended, after a moment's wait for it. For the pump's thread."""
        try:
            return [_certain(ended) for ended in self._groups.get(timeout=_POLL)]
        except queue.Empty:
            return []

    def _add(self, claims: Sequence[Claim]) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._start_some)
        self._waiting.extend(claims)

    def _start_some(self) -> None:
        """A few in each turn of the loop, so that answers are read in between: hundreds at once would fill memory
        with what the garbage collector then looks through again and again."""
        for _ in range(min(_AT_ONCE, len(self._waiting))):
            claim = self._waiting.popleft()
            self._flying[claim.pk] = asyncio.create_task(self._send(claim))
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._start_some)

    async def _send(self, claim: Claim) -> None:
        ended: Outcome | Exception
        try:
            ended = await send(claim, self._http)
        except Exception as exc:  # raised again where the group is read
            ended = exc
        self._flying.pop(claim.pk, None)
        self._end(ended)

    def _end(self, ended: Outcome | Exception) -> None:
        self._ended.append(ended)
        if len(self._ended) >= _GROUP or not (self._flying or self._waiting):
            self._hand_over()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER, self._hand_over)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._groups.put(self._ended)
        self._ended = []


def _certain(ended: Outcome | Exception) -> Outcome:
    if isinstance(ended, Exception):
        raise ended
    return ended


class Pump:
    """Keeps up to `SLOTS` messages in flight while anything is due. One per run, used by one thread."""

    def __init__(self, http: HttpClient | None = None) -> None:
        self._flight = Flight(http or client())
        self._busy: Counter[str] = Counter()
        self._slow: set[str] = set()
        self._answering: set[str] = set()  # of the busy ones
        self.sent = 0

    def run(self, seconds: float) -> None:
        """Claim and send until nothing is due or in flight, or `seconds` have passed."""
        ends, outcomes = time.monotonic() + seconds, list[Outcome]()
        while time.monotonic() < ends:
            self._start_due()
            write(outcomes)
            if not self._busy:
                return
            outcomes = self._collect()
        write(outcomes)

    def drain(self) -> None:
        """Wait for what is still in flight, without claiming more."""
        while self._busy:
            write(self._collect())

    def _start_due(self) -> None:
        while claimed := claim(limit=SLOTS - self._busy.total(), room=self._room()):
            self._busy.update(one.host for one in claimed)
            self._flight.start(claimed)
            self.sent += len(claimed)

    def _room(self) -> dict[str, int]:
        return {host: self._slots(host) - self._busy[host] for host in self._busy.keys() | self._slow}

    def _slots(self, host: str) -> int:
        if host in self._slow:
            return SLOTS_OF_SLOW_HOST
        return SLOTS_PER_HOST if host in self._answering else min(SLOTS_OF_NEW_HOST, SLOTS_PER_HOST)

    def _collect(self) -> list[Outcome]:
        """What came back, after a moment's wait for it; frees their slots."""
        outcomes = self._flight.group()
        for outcome in outcomes:
            self._release(outcome)
        return outcomes

    def _release(self, outcome: Outcome) -> None:
        host = outcome.claim.host
        (self._slow.add if outcome.slow else self._slow.discard)(host)
        self._answering.add(host)
        self._busy[host] -= 1
        if not self._busy[host]:
            del self._busy[host]
            self._answering.discard(host)
