"""Deciding in the admin: who may, over which amount, one by one and in bulk; whatever is posted, the rules hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from refunds.models import Approval, Refund, RefundPolicy
from refunds.services import refund_request_by_staff
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.admin.conftest import LIST, Desk
from tests.refunds.paying import paid_trade, sweep
from trades.models import Trade

Ask = Callable[..., Refund]
Desks = Callable[..., Desk]


@pytest.fixture
def refund(policy: RefundPolicy, trade: Trade, ask: Ask) -> Refund:
    """30.00: needs one approval."""
    return ask(trade, 3000)


def test_a_clerk_approves_and_the_money_goes_back_once(world: World, refund: Refund, desk: Desks) -> None:
    finance = desk()
    finance.act(refund, "approve")
    again = finance.act(refund, "approve")
    assert "not possible" in again
    sweep()
    assert fresh(refund).state == "succeeded"
    assert Approval.objects.get(refund=refund).comment == "checked the contract"
    assert world.book.calls["refund"] == 1


@pytest.mark.parametrize("act", ["approve", "hold", "reject"])
def test_no_decision_without_a_comment(refund: Refund, desk: Desks, act: str) -> None:
    finance = desk()
    for reason in ("", "   "):
        assert "Please give a comment" in finance.act(refund, act, reason=reason)
        assert "Please give a comment" in finance.bulk(act, refund, reason=reason)
    assert fresh(refund).state == "pending_approval"


@pytest.mark.parametrize(("act", "state"), [("hold", "on_hold"), ("reject", "rejected")])
def test_hold_and_reject_keep_their_reason(refund: Refund, desk: Desks, act: str, state: str) -> None:
    page = desk().act(refund, act, reason="owner disputes it")
    assert fresh(refund).state == state
    assert "owner disputes it" in page


def test_what_is_held_is_released_and_decided_afresh(refund: Refund, desk: Desks) -> None:
    finance = desk()
    finance.act(refund, "hold")
    finance.act(refund, "release")
    assert fresh(refund).state == "pending_approval"
    finance.act(refund, "approve")
    assert fresh(refund).state == "approved"


def test_two_approvals_are_two_people(policy: RefundPolicy, trade: Trade, ask: Ask, desk: Desks) -> None:
    refund, first, second = ask(trade, 6000), desk("ann"), desk("bob")
    first.act(refund, "approve")
    assert "You have approved it already" in first.act(refund, "approve")
    assert "You have approved it already" in first.page(refund)
    assert "You have approved it already" in first.bulk("approve", refund)
    assert fresh(refund).state == "pending_approval"
    second.act(refund, "approve")
    assert fresh(refund).state == "approved"


@pytest.mark.parametrize("act", ["approve", "hold", "reject"])
def test_who_asked_decides_nothing(world: World, policy: RefundPolicy, desk: Desks, act: str) -> None:
    finance = desk()
    refund = refund_request_by_staff(
        trade=paid_trade(world, 9000), abnormal=None, amount=3000, reason="x", user=finance.user
    )
    reason = "Somebody else has to decide on what you asked for."
    assert reason in finance.page(refund)
    assert f'action="{LIST}{refund.pk}/act/{act}/"' not in finance.page(refund)
    assert reason in finance.act(refund, act)
    assert reason in finance.bulk(act, refund)
    assert finance.client.post(f"{LIST}{refund.pk}/act/{act}/", {"reason": "me", "amount": "3000"}).status_code == 302
    assert fresh(refund).state == "pending_approval"
    assert not Approval.objects.exists()


@pytest.mark.parametrize("role", ["operator", "service", "auditor"])
@pytest.mark.parametrize("act", ["approve", "hold", "reject"])
def test_roles_that_may_not_decide_are_refused_on_every_way(refund: Refund, desk: Desks, role: str, act: str) -> None:
    other = desk("other", role)
    assert 'data-bulk-open="bulk-approve"' not in other.list()
    assert "Your role may not decide on this refund." in other.act(refund, act)
    assert "Your role may not decide on this refund." in other.bulk(act, refund)
    assert fresh(refund).state == "pending_approval"
    assert not Approval.objects.exists()


@pytest.mark.parametrize("role", ["merchant", "app"])
def test_tenants_decide_neither_on_their_own_nor_on_others(
    world: World, refund: Refund, desk: Desks, role: str
) -> None:
    other = factories.make_merchant()
    own = {"merchant": world.merchant} if role == "merchant" else {"app": world.app}
    foreign = {"merchant": other} if role == "merchant" else {"app": factories.make_app(other)}
    for name, tenant in (("own", own), ("foreign", foreign)):
        clerk = desk(name, role, **tenant)
        for act in ("approve", "hold", "reject"):
            clerk.act(refund, act)
            result = clerk.bulk(act, refund)
            assert (refund.refund_no in result) is (name == "own")
    assert fresh(refund).state == "pending_approval"
    assert not Approval.objects.exists()


def test_a_policy_names_who_approves(refund: Refund, policy: RefundPolicy, desk: Desks) -> None:
    RefundPolicy.objects.update(approver_roles=["operator"])
    assert "Your role may not decide" in desk().act(refund, "approve")


def test_bulk_tells_what_became_of_each(world: World, policy: RefundPolicy, ask: Ask, desk: Desks) -> None:
    finance = desk()
    trades = [paid_trade(world, 9000) for _number in range(4)]
    good, held, mine = ask(trades[0], 2000), ask(trades[1], 2500), ask(trades[2], 2600)
    finance.act(held, "hold")
    Refund.objects.filter(pk=mine.pk).update(requested_by=finance.user)
    page = finance.bulk("approve", good, held, mine)
    assert [fresh(r).state for r in (good, held, mine)] == ["approved", "on_hold", "pending_approval"]
    assert "1 done" in page
    assert "2 refused" in page
    assert "This is not possible in the state “on hold”." in page
    assert "Somebody else has to decide on what you asked for." in page


def test_bulk_approves_only_the_amount_that_was_seen(refund: Refund, desk: Desks) -> None:
    seen = fresh(refund)
    desk("changer").post(refund, "amount", {"amount": "45.00", "reason": "the deposit too"})
    finance = desk()
    assert "The amount changed since you looked" in finance.bulk("approve", seen)
    assert "The amount changed since you looked" in finance.act(seen, "approve")
    assert fresh(refund).state == "pending_approval"
    finance.bulk("approve", fresh(refund))
    assert fresh(refund).state == "approved"


@pytest.mark.parametrize("amount", ["", "x", "-3000", "3000.0", "9" * 40, "²"])
def test_an_approval_names_the_amount(refund: Refund, desk: Desks, amount: str) -> None:
    finance = desk()
    finance.act(refund, "approve", amount=amount)
    finance.bulk("approve", refund, refund=[f"{refund.pk}:{amount}"])
    assert fresh(refund).state == "pending_approval"


def test_a_bulk_form_sent_twice_decides_once(world: World, refund: Refund, desk: Desks) -> None:
    finance = desk()
    finance.bulk("approve", refund, refund=[f"{refund.pk}:3000"] * 3)
    finance.bulk("approve", refund)
    sweep()
    assert Approval.objects.count() == 1
    assert world.book.calls["refund"] == 1


@pytest.mark.parametrize(
    "data", [{"decision": "give_up"}, {"decision": ""}, {"refund": []}, {"refund": ["0:1"] * 101}, {"refund": ["x"]}]
)
def test_forms_that_make_no_sense_do_nothing(refund: Refund, desk: Desks, data: dict[str, object]) -> None:
    desk().bulk(data.pop("decision", "approve"), refund, **data)
    assert fresh(refund).state == "pending_approval"


def test_nothing_is_decided_by_a_link_or_without_the_token(refund: Refund, desk: Desks) -> None:
    finance = desk()
    for view in ("act/approve", "act/reject", "ask"):
        assert finance.client.get(f"{LIST}{refund.pk}/{view}/").status_code == 405
    assert finance.client.get(f"{LIST}bulk/").status_code == 405
    finance.client.handler.enforce_csrf_checks = True
    data = {"reason": "x", "amount": "3000", "decision": "approve", "refund": f"{refund.pk}:3000"}
    for view in (f"{refund.pk}/act/approve/", "bulk/"):
        assert finance.client.post(f"{LIST}{view}", data).status_code == 403
    assert fresh(refund).state == "pending_approval"


def test_who_asked_takes_it_back_and_nobody_else(world: World, policy: RefundPolicy, desk: Desks) -> None:
    clerk, other, trade = desk("clerk", "service"), desk(), paid_trade(world, 9000)
    refund = refund_request_by_staff(trade=trade, abnormal=None, amount=3000, reason="x", user=clerk.user)
    assert "Only the person who asked for it can take it back." in other.act(refund, "take_back")
    assert fresh(refund).state == "pending_approval"
    clerk.act(refund, "take_back", reason="")
    assert fresh(refund).state == "cancelled"
    assert fresh(trade).refundable_amount == 9000


def test_the_amount_is_changed_before_sending_and_approved_afresh(refund: Refund, desk: Desks) -> None:
    finance, other = desk(), desk("bob")
    finance.act(refund, "approve")
    page = finance.post(refund, "amount", {"amount": "12.34", "reason": "half of it"}).content.decode()
    now = fresh(refund)
    assert (now.state, now.amount, now.requested_amount) == ("pending_approval", 1234, 3000)
    assert "¥30.00 → ¥12.34" in page
    assert "asked for ¥30.00" in page
    assert "Somebody else has to decide" in finance.act(now, "approve")
    other.act(now, "approve")
    assert fresh(refund).state == "approved"


@pytest.mark.parametrize("amount", ["", "12.345", "abc", "-1", "0", "100.01", "1e3000"])
def test_amounts_that_do_not_fit_change_nothing(refund: Refund, desk: Desks, amount: str) -> None:
    answer = desk().post(refund, "amount", {"amount": amount, "reason": "because"})
    assert answer.status_code == 200
    assert fresh(refund).amount == 3000


@pytest.mark.parametrize("role", ["operator", "service", "auditor"])
def test_only_finance_changes_amounts(refund: Refund, desk: Desks, role: str) -> None:
    desk("other", role).post(refund, "amount", {"amount": "1.00", "reason": "because"})
    assert fresh(refund).amount == 3000


@pytest.mark.parametrize("one_by_one", [True, False], ids=["page", "bulk"])
def test_a_comment_with_a_nul_is_no_fault_of_the_server(
    trade: Trade, ask: Callable[..., Refund], desk: Callable[..., Desk], one_by_one: bool
) -> None:
    """No form field takes one and PostgreSQL stores none."""
    refund, finance = ask(trade, 2000), desk()
    if one_by_one:
        finance.act(refund, "approve", reason="seen\x00 it")
    else:
        finance.bulk("approve", refund, reason="seen\x00 it")
    assert refund.approvals.get().comment == "seen it"
