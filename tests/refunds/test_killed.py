"""A worker killed (SIGKILL, no clean-up) at each line of the sending path: afterwards the channel and we agree."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from django.utils import timezone

from channels.base import RefundOrder
from notifications.models import Notification
from paycenter.errors import NotSent
from paycenter.models import Event
from paycenter.money import Money
from refunds.models import Refund, RefundPolicy
from refunds.sending import refund_query, refund_send
from refunds.services import RefundRequest, refund_request_by_app
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.forking import LIVED, status_of
from tests.refunds.paying import paid_trade, sweep
from trades.models import Trade

ROOT = Path(__file__).resolve().parents[2]
# What runs between "it is due" and "its outcome is committed"; every line of these may be the last one.
WALKED = str(ROOT / "refunds") + os.sep
_PARTS = 6  # of a walk, so that several processes share it: each takes every sixth line


def _walker(stop_at: int, count: list[int]) -> Callable[..., Any]:
    """A tracer that counts lines of the walked files, and kills the process at line `stop_at`."""

    def on_line(frame: FrameType, event: str, _arg: object) -> Any:
        if event == "line":
            count[0] += 1
            if count[0] == stop_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    def on_call(frame: FrameType, _event: str, _arg: object) -> Any:
        return on_line if frame.f_code.co_filename.startswith(WALKED) else None

    return on_call


def in_child(work: Callable[[], Any], stop_at: int) -> bool:
    """Run `work` in a forked process with database connections of its own; True if it was killed on the way."""

    def walked() -> None:
        sys.settrace(_walker(stop_at, [0]))
        work()

    status = status_of(walked)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == LIVED
    return False


class Walk:
    """One trade with money enough for a refund per line; the channel's book survives our process in a file."""

    def __init__(self, world: World, book: Path) -> None:
        RefundPolicy.objects.create(app=world.app, merchant=world.merchant, automatic_up_to=10, one_approval_up_to=10)
        self.world, self.book = world, book
        self.trade = paid_trade(world, 100_000)
        world.book.hooks["refund"] = self._note
        self.asked = 0

    def _note(self, order: RefundOrder) -> None:
        with self.book.open("a") as out:
            out.write(json.dumps([order.order.order_no, order.refund_no, order.amount.minor]) + "\n")
            out.flush()
            os.fsync(out.fileno())

    def ask(self) -> Refund:
        self.asked += 1
        request = RefundRequest(
            merchant_no=self.world.merchant.merchant_no, trade_no=self.trade.trade_no, amount=3, reason="x",
            app_refund_no=f"R{self.asked}",
        )  # fmt: skip
        return refund_request_by_app(app=self.world.app, request=request)

    def channel_remembers(self) -> None:
        """What the channel took before our process died."""
        for line in self.book.read_text().splitlines() if self.book.exists() else ():
            order_no, refund_no, amount = json.loads(line)
            self.world.book.give_back(order_no, refund_no, Money(amount, "CNY"))

    def check(self, refund: Refund) -> None:
        sweep(2)
        done, trade = fresh(refund), Trade.objects.get(pk=self.trade.pk)
        assert done.state == "succeeded"
        assert (trade.refunded_amount, trade.refunding_amount) == (3 * self.asked, 0)
        assert self.world.book.refunded(trade.settled_attempt.attempt_no) == 3 * self.asked
        assert Notification.objects.filter(refund_no=refund.refund_no, type="refund.succeeded").count() == 1
        assert Event.objects.filter(refund_no=refund.refund_no, type="refund.succeeded").count() == 1


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(_PARTS))
def test_killed_at_every_line_of_sending(committed_world: World, tmp_path: Path, part: int) -> None:
    walk = Walk(committed_world, tmp_path / "book")
    line, alive = part + 1 - _PARTS, False
    while not alive:
        line += _PARTS
        refund = walk.ask()
        alive = not in_child(lambda pk=refund.pk: refund_send(refund_id=pk), line)
        walk.channel_remembers()
        walk.check(refund)
    assert line > 60, "the walk has to have gone through the path"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(_PARTS))
def test_killed_at_every_line_of_asking_again(committed_world: World, tmp_path: Path, part: int) -> None:
    """A refund whose first sending was lost: asked about, and sent again, by a process that dies on the way."""
    walk = Walk(committed_world, tmp_path / "book")
    line, alive = part + 1 - _PARTS, False
    while not alive:
        line += _PARTS
        refund = walk.ask()
        committed_world.book.fault("refund", NotSent("lost before it arrived"))
        refund_send(refund_id=refund.pk)
        walk.book.write_text("")  # the channel never received that one
        Refund.objects.filter(pk=refund.pk).update(next_query_at=timezone.now())
        alive = not in_child(lambda pk=refund.pk: refund_query(refund_id=pk), line)
        walk.channel_remembers()
        walk.check(refund)
    assert line > 60
