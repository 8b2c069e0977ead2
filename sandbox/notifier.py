"""Notifications to merchants: each owed one is a row, and so is every try.

A notification that was not acknowledged is sent again on the provider's own schedule, divided by
the ladder speed. What is owed survives a restart, because `next_at` stays until a try has ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from sandbox.claims import Claim, Subject
from sandbox.records import Notice, Payment, Refund, RefundState
from sandbox.store import notice_from

if TYPE_CHECKING:
    from sandbox.context import Context

log = logging.getLogger("sandbox.notifier")

# Both WeChat Pay and Alipay wait this long for an acknowledgement.
SEND_SECONDS = 5.0
_MAX_ANSWER_BYTES = 16 * 1024
_POLL_SECONDS = 0.05
_CONCURRENT = 64


@dataclass(frozen=True, slots=True)
class Sent:
    """How one try ended: an HTTP status and body, or an error in words."""

    status: int | None
    body: bytes
    error: str
    elapsed_ms: int


def genuine_claim(payment: Payment, now: float) -> Claim:
    return Claim(
        order_no=payment.order_no, trade_no=payment.trade_no, amount=payment.total,
        currency=payment.currency, paid_at=payment.paid_at or now,
    )  # fmt: skip


class Notifier:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._session: aiohttp.ClientSession | None = None
        self._under_way: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def owe(
        self, payment: Payment, refund: Refund | None = None, *, changes: Mapping[str, Any] | None = None,
        copies: int = 1, retries: bool = True, now: bool = True,
    ) -> Notice:  # fmt: skip
        """Enter a notification; with `now` False it is only sent by `send_now`.

        A genuine one about a payment brings its provider's preludes along, in no certain order.
        """
        next_at = self._context.clock() if now else None
        if now and refund is None and not changes:
            for topic in self._context.channel_of(payment).preludes:
                self._enter(payment, claim={"topic": topic}, copies=1, retries=0, next_at=next_at)
        return self._enter(
            payment, claim=dict(changes or {}), refund_id=refund.id if refund else None, copies=copies,
            retries=int(retries), next_at=next_at,
        )  # fmt: skip

    def _enter(self, payment: Payment, **values: Any) -> Notice:
        fixed = {"payment_id": payment.id, "refund_id": None, "notice_id": str(uuid.uuid4())}
        return self.notice(self._context.store.insert("notice", **(fixed | values)))

    def notice(self, notice_id: int) -> Notice:
        row = self._context.store.one("SELECT * FROM notice WHERE id = ?", notice_id)
        if row is None:
            raise LookupError(f"no notification {notice_id}")
        return notice_from(row)

    def sends(self, payment: Payment) -> list[dict[str, Any]]:
        """Every try for this order, oldest first."""
        rows = self._context.store.all(
            "SELECT n.notice_id, n.refund_id, s.sent_at, s.elapsed_ms, s.status, s.body, s.error "
            "FROM send s JOIN notice n ON n.id = s.notice_id WHERE n.payment_id = ? ORDER BY s.id",
            payment.id,
        )
        return [dict(row) for row in rows]

    # -- the background

    async def run(self) -> None:
        """Send what is due and settle refunds that have waited long enough, until cancelled."""
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=SEND_SECONDS), cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=_CONCURRENT, limit_per_host=0), trust_env=False,
        ) as session:  # fmt: skip
            self._session = session
            try:
                while True:
                    self._settle_refunds()
                    self._start_due()
                    self._context.agreements.start_due(self)
                    await asyncio.sleep(_POLL_SECONDS)
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                self._session = None

    def _start_due(self) -> None:
        rows = self._context.store.all(
            "SELECT * FROM notice WHERE next_at <= ? ORDER BY next_at LIMIT 200", self._context.clock()
        )
        for row in rows:
            if row["id"] in self._under_way or len(self._under_way) >= _CONCURRENT:
                continue
            self._under_way.add(row["id"])
            task = asyncio.create_task(self._deliver(notice_from(row)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, notice: Notice) -> None:
        try:
            tries = [self._try(notice) for _ in range(notice.copies if notice.sends == 0 else 1)]
            results = await asyncio.gather(*tries)
            self._advance(notice, acknowledged=any(ok for _, ok in results))
        except Exception:
            log.exception("notification %s could not be made", notice.notice_id)
            self._context.store.update("notice", notice.id, next_at=None)
        finally:
            self._under_way.discard(notice.id)

    def _advance(self, notice: Notice, *, acknowledged: bool) -> None:
        """Put the notification on the next step of its ladder, or take it off."""
        now = self._context.clock()
        payment = self._context.book.payment(notice.payment_id)
        ladder = self._context.channel_of(payment).ladder
        more = notice.retries and not acknowledged and notice.sends < len(ladder)
        gap = ladder[notice.sends] / self._context.settings.ladder_speed if more else 0.0
        self._context.store.update(
            "notice", notice.id, sends=notice.sends + 1, next_at=now + gap if more else None,
            acknowledged_at=now if acknowledged else None,
        )  # fmt: skip

    # -- one try

    async def send_now(self, notice: Notice) -> Sent:
        """Send once, off the ladder, and answer what the merchant replied."""
        sent, acknowledged = await self._try(notice)
        self._advance(notice, acknowledged=acknowledged)
        return sent

    async def _try(self, notice: Notice) -> tuple[Sent, bool]:
        payment = self._context.book.payment(notice.payment_id)
        channel = self._context.channel_of(payment)
        refund = self._context.book.refund(notice.refund_id) if notice.refund_id else None
        claim = genuine_claim(payment, self._context.clock()).changed(notice.claim)
        message = channel.message(
            self._context.store.account_of(payment), Subject(payment=payment, refund=refund), claim, notice
        )
        sent = await self.post(message.url, message.headers, message.body)
        self._context.store.insert(
            "send", notice_id=notice.id, sent_at=self._context.clock(), elapsed_ms=sent.elapsed_ms,
            status=sent.status, body=sent.body.decode("utf-8", "replace"), error=sent.error,
        )  # fmt: skip
        judge = message.acknowledged or channel.acknowledged
        return sent, sent.status is not None and judge(sent.status, sent.body)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        """One request to a merchant; whatever happens is an outcome."""
        if self._session is None:
            raise RuntimeError("the notifier is not running")
        start = time.monotonic()
        status, answer, error = None, b"", ""
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                answer = await _read(response.content)
                status = response.status
        except TimeoutError:
            error = "no answer in time"
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            error = f"{type(exc).__name__}: {exc}"[:300]
        return Sent(status, answer, error, int((time.monotonic() - start) * 1000))

    # -- refunds that end by themselves

    def _settle_refunds(self) -> None:
        for refund in self._context.book.due_refunds():
            self.settle(refund, self._context.book.ending(refund.refund_no))

    def settle(self, refund: Refund, state: RefundState) -> Refund:
        """End a refund and owe its notification, if the provider sends one."""
        payment = self._context.book.payment(refund.payment_id)
        with self._context.store.together():
            settled = self._context.book.settle(refund, state)
            if self.tells(settled) and refund.notify_url:
                self.owe(payment, settled)
        return settled

    def tells(self, refund: Refund) -> bool:
        """Whether the refund's state is one that its provider notifies."""
        channel = self._context.channels[refund.channel]
        return refund.state is RefundState.SUCCESS or (
            refund.state is RefundState.FAIL and channel.tells_failed_refunds
        )


async def _read(stream: aiohttp.StreamReader) -> bytes:
    parts = bytearray()
    async for chunk in stream.iter_chunked(_MAX_ANSWER_BYTES):
        parts += chunk
        if len(parts) >= _MAX_ANSWER_BYTES:
            break
    return bytes(parts[:_MAX_ANSWER_BYTES])


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
