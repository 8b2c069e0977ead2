"""What failed at its channel: sent again under its number, paid out by hand by two people, or left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from channels.base import RefundResult, RefundState
from merchants.models import User
from notifications.models import Notification
from paycenter.errors import TransitionRefused
from paycenter.uploads import UploadRefused
from refunds.approvals import refund_approve
from refunds.models import Payout, Refund
from refunds.payouts import payout_accept, payout_enter, payout_refuse
from refunds.retrying import refund_convert, refund_give_up, refund_send_again
from refunds.vouchers import VOUCHERS
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.paying import sweep
from trades.models import Trade

Ask = Callable[..., Refund]
Staff = Callable[..., User]
pytestmark = pytest.mark.usefixtures("policy")
PDF = b"%PDF-1.4 paid"


@pytest.fixture
def failed(world: World, trade: Trade, ask: Ask) -> Refund:
    world.book.fault(
        "refund", RefundResult(state=RefundState.FAILED, refund_no="", code="NOT_ENOUGH", message="x", resendable=True)
    )
    refund = ask(trade, 900)
    sweep()
    return fresh(refund)


@pytest.fixture(autouse=True)
def _vouchers(tmp_path: Path, settings: Any) -> None:
    settings.VAR_DIR = tmp_path


def manual(trade: Trade, ask: Ask, staff: Staff) -> Refund:
    """Approved, to be paid out by hand."""
    refund = ask(trade, 2000)
    refund_convert(refund=refund, user=staff("carl"), route="manual", reason="the card is closed")
    return refund_approve(refund=refund, user=staff("dora"), comment="ok")


def enter(refund: Refund, user: User, **values: Any) -> Payout:
    voucher = VOUCHERS.store(name="slip.pdf", chunks=[PDF])
    given = {"reference": "BANK-77", "payee": {"name": "李雷", "account": "6222"}, "paid_on": timezone.localdate(),
             "voucher": voucher}  # fmt: skip
    return payout_enter(refund=refund, user=user, **{**given, **values})


def test_sent_again_under_the_same_number(world: World, trade: Trade, failed: Refund, staff: Staff) -> None:
    refund_send_again(refund=failed, user=staff("ann"), reason="topped up")
    assert fresh(trade).refunding_amount == 900
    sweep()
    done = fresh(failed)
    assert (done.state, done.sends, list(world.book.refunds)) == ("succeeded", 2, [failed.refund_no])
    assert [n.type for n in Notification.objects.filter(refund_no=failed.refund_no).order_by("id")] == [
        "refund.failed", "refund.succeeded",
    ]  # fmt: skip


def test_not_sent_again_where_its_sum_is_gone(trade: Trade, failed: Refund, ask: Ask, staff: Staff) -> None:
    ask(trade, 9_500)
    with pytest.raises(TransitionRefused):
        refund_send_again(refund=failed, user=staff("ann"), reason="topped up")
    assert fresh(trade).refunding_amount == 9_500


def test_not_sent_again_where_the_channel_takes_the_number_no_more(failed: Refund, staff: Staff) -> None:
    Refund.objects.update(resendable=False)
    with pytest.raises(TransitionRefused):
        refund_send_again(refund=failed, user=staff("ann"), reason="again")


def test_a_late_success_of_one_that_failed_is_counted(world: World, trade: Trade, failed: Refund) -> None:
    from refunds.confirm import refund_confirm

    word = RefundResult(state=RefundState.SUCCEEDED, refund_no=failed.refund_no, amount=failed.money)
    refund_confirm(refund_id=failed.pk, word=word, actor="channel:fakepay")
    assert (fresh(failed).state, fresh(trade).refunded_amount) == ("succeeded", 900)


def test_a_late_success_whose_sum_was_given_away_stands_beside_the_sums(
    trade: Trade, failed: Refund, ask: Ask
) -> None:
    from refunds.confirm import refund_confirm

    ask(trade, 9_500)
    word = RefundResult(state=RefundState.SUCCEEDED, refund_no=failed.refund_no, amount=failed.money)
    refund_confirm(refund_id=failed.pk, word=word, actor="channel:fakepay")
    after = fresh(trade)
    assert (after.refunded_amount, after.refunding_amount, after.external_refunded) == (0, 9_500, 900)
    assert fresh(failed).counted_as_external


def test_paid_out_by_hand_takes_two_people(world: World, trade: Trade, ask: Ask, staff: Staff) -> None:
    refund = manual(trade, ask, staff)
    sweep()
    assert world.book.calls["refund"] == 0, "nothing goes to the channel"
    ann = staff("ann")
    payout = enter(refund, ann)
    assert VOUCHERS.read(payout.voucher) == (PDF, "application/pdf")
    with pytest.raises(TransitionRefused):
        payout_accept(refund=refund, user=ann, comment="fine")
    payout_accept(refund=refund, user=staff("bob"), comment="seen on the statement")
    assert (fresh(refund).state, fresh(trade).refunded_amount) == ("succeeded", 2000)
    assert '"route":"manual"' in Notification.objects.get(type="refund.succeeded").body


def test_who_converted_does_not_approve(trade: Trade, ask: Ask, staff: Staff) -> None:
    refund, carl = ask(trade, 2000), staff("carl")
    refund_convert(refund=refund, user=carl, route="manual", reason="x")
    with pytest.raises(TransitionRefused):
        refund_approve(refund=refund, user=carl, comment="ok")


def test_a_refused_payout_is_entered_again(trade: Trade, ask: Ask, staff: Staff) -> None:
    refund, ann, bob = manual(trade, ask, staff), staff("ann"), staff("bob")
    enter(refund, ann)
    payout_refuse(refund=refund, user=bob, comment="another name")
    assert (fresh(refund).state, fresh(trade).refunding_amount) == ("approved", 2000)
    enter(refund, ann, reference="BANK-78")
    payout_accept(refund=refund, user=bob, comment="right now")
    assert fresh(refund).state == "succeeded"
    assert Payout.objects.count() == 2


@pytest.mark.parametrize(
    "wrong", [{"voucher": None}, {"reference": " "}, {"paid_on": timezone.localdate() + timedelta(days=2)}]
)
def test_a_payout_needs_voucher_reference_and_a_day(
    trade: Trade, ask: Ask, staff: Staff, wrong: dict[str, Any]
) -> None:
    refund = manual(trade, ask, staff)
    with pytest.raises(TransitionRefused):
        enter(refund, staff("ann"), **wrong)
    assert not Payout.objects.exists()


def test_one_that_may_have_reached_the_channel_is_not_paid_out(
    world: World, trade: Trade, ask: Ask, staff: Staff
) -> None:
    world.book.refunds_wait = True
    refund = ask(trade, 900)
    sweep()
    with pytest.raises(TransitionRefused):
        refund_convert(refund=refund, user=staff("carl"), route="manual", reason="impatient")


def test_left_as_failed_frees_the_sum_again(trade: Trade, failed: Refund, staff: Staff) -> None:
    carl = staff("carl")
    refund_convert(refund=failed, user=carl, route="balance", reason="x")
    assert fresh(trade).refunding_amount == 900
    refund_give_up(refund=failed, user=carl, reason="payer does not answer")
    assert (fresh(failed).state, fresh(trade).refundable_amount) == ("failed", 10_000)


@pytest.mark.parametrize("role", ["service", "auditor", "operator"])
def test_roles_that_may_not(failed: Refund, staff: Staff, role: str) -> None:
    with pytest.raises(TransitionRefused):
        refund_send_again(refund=failed, user=staff("eve", role), reason="x")


@pytest.mark.parametrize("content", [b"", b"<html>", b"MZ\x90", b"%PD", b"GIF89a"])
def test_only_real_pdf_png_and_jpeg_are_vouchers(content: bytes) -> None:
    with pytest.raises(UploadRefused):
        VOUCHERS.store(name="slip.pdf", chunks=[content])


def test_a_voucher_too_large_is_refused_before_it_is_all_read() -> None:
    read = []

    def endless() -> Any:
        while True:
            read.append(1)
            yield b"%PDF-" + b"x" * 1024 * 1024

    with pytest.raises(UploadRefused):
        VOUCHERS.store(name="slip.pdf", chunks=endless())
    assert len(read) < 10


@pytest.mark.parametrize("path", ["../secrets.json", "/etc/passwd", "aa/none.pdf", ""])
def test_nothing_else_is_read_as_a_voucher(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        VOUCHERS.read(path)


def test_a_vouchers_own_name_never_becomes_a_path(tmp_path: Path) -> None:
    stored = VOUCHERS.store(name="..\\..\\evil/../x.pdf", chunks=[PDF])
    assert stored.name == "x.pdf"
    assert [p.name for p in tmp_path.rglob("*.pdf")] == [Path(stored.path).name]
