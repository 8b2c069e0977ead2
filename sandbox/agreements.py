"""A payer's consent to deductions, as a channel keeps it: signed once, ended by either side.

What a channel calls its states is the channel's matter. Notifications climb the channel's own ladder.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sandbox.book import NotPossible
from sandbox.claims import Signing
from sandbox.records import Account

if TYPE_CHECKING:
    from sandbox.context import Context
    from sandbox.notifier import Notifier, Sent

log = logging.getLogger("sandbox.agreements")


class AgreementState(StrEnum):
    OPENED = "opened"  # the payer looks at it: no agreement exists for the API
    CANCELLED = "cancelled"  # the payer turned back; the API never hears of it
    ACTIVE = "active"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """`contract_no` is the merchant's number, `channel_no` the channel's. `highest` is what the payer
    allows for one deduction, minor units; None for no limit. Times in Unix seconds."""

    id: int
    channel: str
    account: str
    contract_no: str
    channel_no: str
    state: AgreementState
    scene: str
    notify_url: str
    return_url: str
    code: str
    payer: str
    highest: int | None
    created_at: float
    signed_at: float | None
    ended_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementNotice:
    """One owed notification; `state` is what it tells of."""

    id: int
    agreement_id: int
    notice_id: str
    state: AgreementState
    signing: Signing
    sends: int
    next_at: float | None
    acknowledged_at: float | None


class Agreements:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._under_way: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the book

    def open(self, account: Account, contract_no: str, **values: Any) -> Agreement:
        """The payer opened the signing page; the same number again is the same agreement.

        Raises NotPossible for one that was signed before.
        """
        known = self.find(account.channel, account.key, contract_no)
        if known is not None and known.state in (AgreementState.ACTIVE, AgreementState.ENDED):
            raise NotPossible(f"the contract is {known.state}")
        if known is not None:
            return self._change(known, state=AgreementState.OPENED, **values)
        row_id = self._context.store.insert(
            "agreement", channel=account.channel, account=account.key, contract_no=contract_no,
            state=AgreementState.OPENED, code=self._context.token(), created_at=self._context.clock(), **values,
        )  # fmt: skip
        return self.get(row_id)

    def get(self, agreement_id: int) -> Agreement:
        found = self._first("id = ?", agreement_id)
        if found is None:
            raise LookupError(f"no contract {agreement_id}")
        return found

    def find(self, channel: str, account: str, contract_no: str) -> Agreement | None:
        return self._first("channel = ? AND account = ? AND contract_no = ?", channel, account, contract_no)

    def find_channel_no(self, channel: str, account: str, channel_no: str) -> Agreement | None:
        return self._first("channel = ? AND account = ? AND channel_no = ?", channel, account, channel_no)

    def find_code(self, channel: str, code: str) -> Agreement | None:
        return self._first("channel = ? AND code = ?", channel, code)

    def find_number(self, contract_no: str) -> Agreement | None:
        return self._first("contract_no = ?", contract_no)

    def sign(self, agreement: Agreement) -> Agreement:
        """The payer agrees. Raises NotPossible unless the signing page is open."""
        return self._end_page(agreement, AgreementState.ACTIVE, signed_at=self._context.clock())

    def cancel(self, agreement: Agreement) -> Agreement:
        return self._end_page(agreement, AgreementState.CANCELLED)

    def end(self, agreement: Agreement) -> Agreement:
        """Either side ends it. Raises NotPossible unless it is active."""
        if agreement.state is not AgreementState.ACTIVE:
            raise NotPossible(f"the contract is {agreement.state}")
        with self._context.store.together():
            ended = self._change(agreement, state=AgreementState.ENDED, ended_at=self._context.clock())
            self.owe(ended)
        return ended

    def limit(self, agreement: Agreement, highest: int) -> Agreement:
        """From now on no single deduction above this."""
        return self._change(agreement, highest=highest)

    def _end_page(self, agreement: Agreement, state: AgreementState, **values: Any) -> Agreement:
        if agreement.state is not AgreementState.OPENED:
            raise NotPossible(f"the contract is {agreement.state}")
        with self._context.store.together():
            changed = self._change(agreement, state=state, **values)
            if state is AgreementState.ACTIVE:
                self.owe(changed)
        return changed

    def _change(self, agreement: Agreement, **values: Any) -> Agreement:
        self._context.store.update("agreement", agreement.id, **values)
        return self.get(agreement.id)

    def _first(self, where: str, *args: Any) -> Agreement | None:
        row = self._context.store.one(f"SELECT * FROM agreement WHERE {where} ORDER BY id DESC LIMIT 1", *args)
        return Agreement(**{**dict(row), "state": AgreementState(row["state"])}) if row else None

    # -- telling the merchant

    def owe(self, agreement: Agreement, *, signing: Signing = Signing.GENUINE, now: bool = True) -> AgreementNotice:
        """Enter a notification of the present state; with `now` False only `send_now` sends it.

        A fake claims that it is signed.
        """
        state = agreement.state if signing is Signing.GENUINE else AgreementState.ACTIVE
        row_id = self._context.store.insert(
            "agreement_notice", agreement_id=agreement.id, notice_id=str(uuid.uuid4()), state=state,
            signing=signing, next_at=self._context.clock() if now and agreement.notify_url else None,
        )  # fmt: skip
        row = self._context.store.one("SELECT * FROM agreement_notice WHERE id = ?", row_id)
        if row is None:
            raise LookupError(f"no notification {row_id}")
        return _notice(row)

    def start_due(self, notifier: Notifier) -> None:
        """Begin sending what is due; called by the notifier's own loop."""
        rows = self._context.store.all(
            "SELECT * FROM agreement_notice WHERE next_at <= ? ORDER BY next_at LIMIT 50", self._context.clock()
        )
        for row in rows:
            if row["id"] not in self._under_way:
                self._under_way.add(row["id"])
                task = asyncio.create_task(self._deliver(_notice(row), notifier))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _deliver(self, told: AgreementNotice, notifier: Notifier) -> None:
        try:
            await self.send_now(told, notifier)
        except Exception:
            log.exception("notification %s could not be made", told.notice_id)
            self._context.store.update("agreement_notice", told.id, next_at=None)
        finally:
            self._under_way.discard(told.id)

    async def send_now(self, told: AgreementNotice, notifier: Notifier) -> Sent:
        """Send once and note the outcome; a genuine one that is not acknowledged stays on the ladder."""
        agreement = self.get(told.agreement_id)
        channel = self._context.channels[agreement.channel]
        account = self._context.store.account(agreement.channel, agreement.account)
        if account is None:
            raise LookupError(f"contract {agreement.contract_no} has no account")
        message = channel.agreement_message(account, agreement, told)
        sent = await notifier.post(message.url, message.headers, message.body)
        judge = message.acknowledged or channel.acknowledged
        good = sent.status is not None and judge(sent.status, sent.body)
        again = told.next_at is not None and not good and told.sends < len(channel.ladder)
        now = self._context.clock()
        gap = channel.ladder[told.sends] / self._context.settings.ladder_speed if again else 0.0
        self._context.store.update(
            "agreement_notice", told.id, sends=told.sends + 1, next_at=now + gap if again else None,
            acknowledged_at=now if good else None,
        )  # fmt: skip
        return sent


def _notice(row: Any) -> AgreementNotice:
    data = dict(row)
    return AgreementNotice(**{**data, "state": AgreementState(data["state"]), "signing": Signing(data["signing"])})
