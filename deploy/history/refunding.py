"""Money on its way back: refunds that apps and staff ask for, and payments that settle nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy.history.bills import Bills, Returned
from deploy.history.cast import Cast
from deploy.history.clock import DAY, HOUR, MINUTE, SECOND, digits, iso
from deploy.history.links import Happened
from deploy.history.orders import Order, Try, record
from deploy.history.story import Story
from deploy.history.tables import Table
from deploy.history.telling import Telling
from deploy.history.words import CLERK_WORDS, REFUND_REASONS, Words
from refunds.models import Approval, Refund
from trades.models import AbnormalPayment

SHARE = 0.025  # of paid orders
AUTOMATIC, ONE = 5000, 200_000  # as the policies of `cast` say
APPROVAL_LIFE = 72 * HOUR


@dataclass(slots=True)
class Stray:
    """An abnormal payment."""

    id: int
    tried: Try
    kind: str
    at: int
    amount: int
    state: str = "open"
    refunded: int = 0
    refunding: int = 0
    version: int = 2
    resolved_at: int | None = None


@dataclass(slots=True)
class Return:
    """One refund."""

    id: int
    no: str
    order: Order
    tried: Try
    stray: Stray | None
    amount: int
    reason: str
    full: bool
    asked_at: int
    asker: tuple[int, str] | None  # staff; else the app asked
    needed: int
    app_no: str | None
    state: str = "pending_approval"
    version: int = 1
    approved_at: int | None = None
    sent_at: int | None = None
    finished_at: int | None = None
    channel_no: str | None = None
    error: tuple[str, str] = ("", "")


class Refunding:
    """Decides which payments go back, and carries them as far as time allows."""

    def __init__(self, cast: Cast, words: Words, telling: Telling, bills: Bills, story: Story, now: int) -> None:
        self.words, self.random, self.telling, self.bills, self.story = words, words.random, telling, bills, story
        self.staff, self.now = cast.staff, now
        self.refunds = Table(
            Refund, "id", "refund_no", "app_id", "merchant_id", "trade_id", "attempt_id", "abnormal_id", "account_id",
            "channel", "app_refund_no", "amount", "requested_amount", "currency", "reason", "type", "kind", "source",
            "state", "requested_by_id", "approvals_needed", "requested_at", "approved_at", "sent_at", "last_sent_at",
            "finished_at", "channel_request_no", "channel_refund_no", "channel_state", "error_code", "error_message",
            "sends", "whole", "checked_at", "next_query_at", "next_expiry_at", "version",
        )  # fmt: skip
        self.approvals = Table(
            Approval, "id", "refund_id", "round", "approver_id", "decision", "amount", "comment", "decided_at"
        )
        self.strays = Table(
            AbnormalPayment, "id", "trade_id", "attempt_id", "account_id", "kind", "state", "amount", "currency",
            "channel_trade_no", "paid_at", "refunded_amount", "created_at", "resolved_at", "version",
            "refunding_amount",
        )  # fmt: skip
        self.tables = (self.strays, self.refunds, self.approvals)
        story.after_payment, story.after_money = self.perhaps, self.stray

    # ---- refunds of paid orders ----
    def perhaps(self, o: Order) -> bool:
        """Whether some of it goes back; then its row is written once that is over."""
        if self.random.random() >= SHARE or o.paid_at is None:
            return False
        due = o.paid_at + 2 * MINUTE + int(self.random.lognormvariate(1.5, 1.4) * HOUR)
        if due > self.now:
            return False
        parts = 2 if self.random.random() < 0.1 else 1
        self.story.at(due, lambda at: self._part(o, at, parts))
        return True

    def _part(self, o: Order, at: int, parts: int) -> None:
        """One refund of the order; the last one writes it."""
        left = o.paid - o.refunded - o.refunding
        amount = left if parts == 1 and self.random.random() < 0.6 else max(left * self.random.randint(2, 9) // 10, 1)
        asker = self.staff[2] if self.random.random() < 0.15 else None
        self._refund(o, o.settled, None, amount, at, asker)
        again = at + 3 * DAY
        if parts > 1 and again <= self.now and o.paid - o.refunded - o.refunding > 1:
            self.story.at(again, lambda later: self._part(o, later, parts - 1))
        else:
            self.story.write(o)

    def _refund(
        self, o: Order, tried: Try | None, stray: Stray | None, amount: int, at: int, asker: tuple[int, str] | None
    ) -> None:
        if tried is None:
            return
        needed = 0 if amount <= AUTOMATIC and asker is None else 1 if amount <= ONE else 2
        whole = stray.amount if stray else o.paid
        number = self.refunds.next_id()
        r = Return(
            number, f"R{digits(at)}{self.words.tail()}", o, tried, stray, amount, self.random.choice(REFUND_REASONS),
            amount == whole, at, asker, needed, None if asker else f"TK{number:012d}",
        )  # fmt: skip
        actor = asker[1] if asker else f"app:{o.line.app_id}"
        self._reserve(r, actor)
        self._tell(r, at, "refund.requested", actor, "", f'{{"amount":{amount},"currency":"{o.currency}"}}', r.reason)
        self._decide(r)
        self._write(r)

    # ---- the sums ----
    def _reserve(self, r: Return, actor: str) -> None:
        if r.stray is not None:
            before, r.stray.state = r.stray.state, "refunding"
            r.stray.refunding, r.stray.version = r.stray.refunding + r.amount, r.stray.version + 1
            self._tell_stray(r.order, r.stray, r.asked_at, "abnormal.refunding", actor, before)
            return
        r.order.refunding, r.order.version = r.order.refunding + r.amount, r.order.version + 1
        self.telling.of_trade(r.order, r.asked_at, "trade.refunds_changed", actor)

    def _release(self, r: Return, at: int, actor: str, *, went: bool) -> None:
        """What was reserved went back, or is free again."""
        if r.stray is not None:
            r.stray.refunding, r.stray.version = r.stray.refunding - r.amount, r.stray.version + 1
            r.stray.refunded += r.amount if went else 0
            before, r.stray.state = r.stray.state, "refunded" if went else "open"
            r.stray.resolved_at = at if went else None
            self._tell_stray(r.order, r.stray, at, f"abnormal.{'refunded' if went else 'open_again'}", actor, before)
            return
        o = r.order
        o.refunding, o.version = o.refunding - r.amount, o.version + 1
        o.refunded += r.amount if went else 0
        self.telling.of_trade(o, at, "trade.refunds_changed", actor)

    # ---- what becomes of one ----
    def _decide(self, r: Return) -> None:
        at, fate = r.asked_at, self.random.random()
        if r.needed and fate < 0.04:
            at += int((0.2 + self.random.random() * 5) * HOUR)
            if at <= self.now:
                self._decision(r, 0, at, "reject")
                self._end(r, at, "rejected", self.staff[0][1])
            return
        for place in range(r.needed):
            at += int((0.05 + self.random.expovariate(1 / 2.5)) * HOUR)
            if at > self.now:
                return
            self._decision(r, place, at, "approve")
        r.approved_at = at
        self._move(r, at, "approved", "refund.approved", self.staff[r.needed - 1][1] if r.needed else "policy")
        self._send(r, at + 3 * SECOND, failed=fate > 0.98)

    def _decision(self, r: Return, place: int, at: int, decision: str) -> None:
        user, actor = self.staff[place]
        comment = self.random.choice(CLERK_WORDS) if decision == "approve" else "与账单不符，请业务核对后重新申请"
        self.approvals.add(self.approvals.next_id(), r.id, 1, user, decision, r.amount, comment, at)
        detail = f'{{"amount":{r.amount},"round":1}}'
        self._event(r, at, f"refund.decision_{decision}", actor, "", "", comment, detail)

    def _send(self, r: Return, at: int, *, failed: bool) -> None:
        if at > self.now:
            return
        r.sent_at = at
        self._move(r, at, "processing", "refund.processing", "system:refund")
        done = at + int((1 + self.random.expovariate(1 / 40)) * SECOND)
        if done > self.now:
            return
        if failed:
            r.error = ("USER_ACCOUNT_ABNORMAL", "the payer's account cannot receive it")
            self._end(r, done, "failed", "system:refund")
            return
        r.channel_no, r.finished_at = f"50{digits(done)[2:14]}{r.id:012d}", done
        self._release(r, done, "system:refund", went=True)
        self._move(r, done, "succeeded", "refund.succeeded", "system:refund",
                   f'{{"amount":{r.amount},"currency":"{r.order.currency}"}}')  # fmt: skip
        self._told(r, done, "refund.succeeded")
        self.bills.returned(r.tried.channel, r.tried.account_id, Returned(
            done, r.id, r.no, r.order.no, r.order.line.app_pk, r.tried.no, r.tried.channel_trade_no or "",
            r.channel_no, r.amount, r.order.currency,
        ))  # fmt: skip

    def _end(self, r: Return, at: int, state: str, actor: str) -> None:
        r.finished_at = at
        if state == "rejected":
            r.error = ("", "与账单不符，请业务核对后重新申请")
        self._release(r, at, actor, went=False)
        self._move(r, at, state, f"refund.{state}", actor, reason=" ".join(filter(None, r.error)))
        self._told(r, at, f"refund.{state}")

    def _move(
        self, r: Return, at: int, state: str, type_: str, actor: str, detail: str = "{}", reason: str = ""
    ) -> None:
        before, r.state, r.version = r.state, state, r.version + 1
        self._tell(r, at, type_, actor, before, detail, reason)

    # ---- events and messages ----
    def _tell(
        self, r: Return, at: int, type_: str, actor: str, before: str, detail: str, reason: str = ""
    ) -> None:
        if at >= self.telling.log_from:  # a record takes longer than all else
            self._event(r, at, type_, actor, before, r.state, reason, detail, _record(r))

    def _event(
        self, r: Return, at: int, type_: str, actor: str, before: str, after: str, reason: str, detail: str,
        data: str | None = None,
    ) -> None:  # fmt: skip
        if at >= self.telling.log_from:
            self.telling.chain.add(Happened(
                at, type_, "refund", r.id, actor, r.order.line.app_id, r.order.line.merchant_no, r.order.no, r.tried.no,
                r.no, before, after, reason, detail, data, data is not None,
            ))  # fmt: skip

    def _told(self, r: Return, at: int, type_: str) -> None:
        if at >= self.telling.log_from:
            self.telling.app(r.order, at, type_, _record(r), r.no)

    def _tell_stray(self, o: Order, s: Stray, at: int, type_: str, actor: str, before: str, data: Any = None) -> None:
        if at >= self.telling.log_from:
            self.telling.chain.add(Happened(
                at, type_, "abnormalpayment", s.id, actor, o.line.app_id, o.line.merchant_no, o.no, s.tried.no, "",
                before, s.state, "", "{}", data, data is not None,
            ))  # fmt: skip

    # ---- money that settles nothing ----
    def stray(self, o: Order, tried: Try, kind: str) -> None:
        """Money came for an order that is paid or closed already; most of it is given back within days."""
        at = (tried.paid_at or 0) + SECOND + 400_000
        s = Stray(self.strays.next_id(), tried, kind, at, o.amount)
        actor = f"channel:{tried.channel}"
        self._tell_stray(o, s, at, "abnormal.opened", actor, "unverified")
        o.version += kind == "late"  # its query shows the attempt whose channel number became known
        o.notify_state = "pending" if at >= self.telling.log_from else o.notify_state
        data = (
            f'{record(o)[:-1]},"duplicate":{{"amount":{o.amount},"attempt_no":"{tried.no}","channel_trade_no":'
            f'"{tried.channel_trade_no}","currency":"{o.currency}","kind":"{kind}"}}}}'
        )
        self._tell_stray(o, s, at, "trade.duplicate_paid", actor, "", _sorted(data))
        self.telling.app(o, at, "trade.duplicate_paid", data)
        self.telling.alert(o, at, "abnormal_payment", f"abnormal:{tried.no}", "有款项到账，但订单已付款或已关闭",
                           f"交易 {o.no} 收到 {o.amount} {o.currency}，未用于结清。")  # fmt: skip
        back = at + int((1 + self.random.random() * 60) * HOUR)
        if back <= self.now and self.random.random() < 0.85:
            self._refund(o, tried, s, s.amount, back, self.staff[2])
        self.strays.add(
            s.id, o.id, tried.id, tried.account_id, kind, s.state, s.amount, o.currency, tried.channel_trade_no,
            tried.paid_at or at, s.refunded, at, s.resolved_at, s.version,
            s.refunding,
        )  # fmt: skip

    # ---- rows ----
    def _write(self, r: Return) -> None:
        o, t = r.order, r.tried
        kind = "business" if r.stray is None else "duplicate" if r.stray.kind == "duplicate" else "abnormal"
        sent, undecided = r.sent_at, r.state == "pending_approval"
        self.refunds.add(
            r.id, r.no, o.line.app_pk, o.line.merchant_pk, o.id, t.id, r.stray and r.stray.id, t.account_id, t.channel,
            r.app_no, r.amount, r.amount, o.currency, r.reason, "full" if r.full else "partial", kind,
            "admin" if r.asker else "api", r.state, r.asker and r.asker[0], r.needed, r.asked_at,
            r.approved_at, sent, sent, r.finished_at, r.no, r.channel_no,
            "SUCCESS" if r.state == "succeeded" else "", r.error[0], r.error[1], 1 if sent else 0,
            bool(sent and r.full), sent, self.now + 2 * MINUTE if r.state == "processing" else None,
            None if undecided or sent or r.approved_at is None else r.approved_at + APPROVAL_LIFE, r.version,
        )  # fmt: skip


def _sorted(data: str) -> str:
    """`duplicate` in its place among the sorted keys."""
    head, duplicate = data.rsplit(',"duplicate":', 1)
    place = head.index(',"expire_at"')
    return f'{head[:place]},"duplicate":{duplicate[:-1]}{head[place:]}}}'


def _record(r: Return) -> str:
    """`refunds.selectors.refund_data` of this moment, as sorted JSON."""
    failure = " ".join(filter(None, r.error))
    kind = "business" if r.stray is None else "duplicate" if r.stray.kind == "duplicate" else "abnormal"
    return (
        f'{{"amount":{r.amount},"app_order_no":"{r.order.app_order_no}","app_refund_no":{_text(r.app_no)},'
        f'"approved_at":{_time(r.approved_at)},"attempt_no":"{r.tried.no}","channel_refund_no":{_text(r.channel_no)},'
        f'"currency":"{r.order.currency}","failure":{_text(failure)},"finished_at":{_time(r.finished_at)},'
        f'"kind":"{kind}","reason":"{r.reason}","refund_no":"{r.no}","requested_at":"{iso(r.asked_at)}",'
        f'"route":"original","source":"{"admin" if r.asker else "api"}","state":"{r.state}",'
        f'"trade_no":"{r.order.no}","type":"{"full" if r.full else "partial"}","version":{r.version}}}'
    )


def _text(value: str | None) -> str:
    return f'"{value}"' if value else "null"


def _time(moment: int | None) -> str:
    return "null" if moment is None else f'"{iso(moment)}"'
