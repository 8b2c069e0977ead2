"""Giving money back and keeping it, by raw form posts: who may, how often, and what they are told."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from merchants.models import User
from merchants.roles import RoleBackend
from paycenter.models import Event
from paycenter.money import Money
from refunds.models import Refund, RefundPolicy
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.fakes import fakepay
from tests.fakes.staff import make_staff, signed_in
from tests.refunds.paying import confirm, paid_trade, paid_twice
from tests.refunds.test_abnormal import late_money, wrong_money
from trades.models import AbnormalPayment, Trade

ROWS = "/admin/trades/abnormalpayment/"
TRADES = "/admin/trades/trade/"


@pytest.fixture
def finance(db: None) -> Client:
    return signed_in(make_staff("finance"))


@pytest.fixture
def second(db: None) -> Client:
    return signed_in(make_staff("finance", username="second"))


@pytest.fixture
def row(world: World) -> AbnormalPayment:
    return paid_twice(world, 800)[1]


def text(answer: Any) -> str:
    return answer.content.decode()


def errors(answer: Any) -> list[str]:
    found = re.findall(r'<ul class="errorlist[^>]*>(.*?)</ul>', text(answer), re.S)
    return [re.sub(r"<[^>]+>", "", item).strip() for item in found]


def form(record: Any, **changed: Any) -> dict[str, Any]:
    return {"amount": "8.00", "reason": "paid twice", "route": "original", "version": fresh(record).version, **changed}


def buttons(page: str) -> dict[str, bool]:
    """Label → whether it can be pressed, of what is in the page's head."""
    head = page[page.index('class="pc-head"'):page.index('class="pc-grid"')]
    found = re.findall(r"<(?:button|a)([^>]*)>(?:<span class=\"material[^>]*>[^<]*</span>)?([^<]+)", head)
    return {label.strip(): " disabled" not in attributes for attributes, label in found}


def test_one_click_asks_for_the_whole_of_it(finance: Client, row: AbnormalPayment) -> None:
    page = text(finance.get(f"{ROWS}{row.pk}/change/"))
    assert buttons(page)["Refund ¥8.00"]
    assert 'value="8.00"' in page
    answer = finance.post(f"{ROWS}{row.pk}/refund/", form(row))
    refund = Refund.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/refunds/refund/{refund.pk}/change/")
    assert (refund.amount, refund.abnormal_id, refund.reason, refund.state) == (
        800, row.pk, "paid twice", "pending_approval",
    )  # fmt: skip
    assert refund.requested_by == User.objects.get(username="finance")
    page = text(finance.get(f"{ROWS}{row.pk}/change/"))
    assert refund.refund_no in page
    assert "Nothing is left to refund." in page


def test_staff_never_wave_their_own_request_through(finance: Client, world: World, row: AbnormalPayment) -> None:
    RefundPolicy.objects.create(app=world.app, merchant=world.merchant, automatic_up_to=10_000)
    finance.post(f"{ROWS}{row.pk}/refund/", form(row))
    assert Refund.objects.get().state == "pending_approval"


def test_the_same_form_twice_asks_once(finance: Client, row: AbnormalPayment) -> None:
    data = form(row, amount="1.00")
    assert finance.post(f"{ROWS}{row.pk}/refund/", data).status_code == 302
    again = finance.post(f"{ROWS}{row.pk}/refund/", data)
    assert errors(again) == ["The payment changed since you looked; please look again."]
    assert (Refund.objects.count(), fresh(row).refunding_amount) == (1, 100)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"amount": "8.01"}, "At most ¥8.00."), ({"amount": "0"}, "At least ¥0.01."),
        ({"amount": "1.001"}, "CNY has 2 decimals at most."), ({"amount": ""}, "This field is required."),
        ({"reason": ""}, "This field is required."),
        ({"reason": "x" * 129}, "Ensure this value has at most 128 characters (it has 129)."),
        ({"route": "pocket"}, "Select a valid choice. pocket is not one of the available choices."),
    ],
)  # fmt: skip
def test_bad_input_says_so_at_the_field(
    finance: Client, row: AbnormalPayment, wrong: dict[str, str], message: str
) -> None:
    answer = finance.post(f"{ROWS}{row.pk}/refund/", form(row, **wrong))
    assert answer.status_code == 200
    assert errors(answer) == [message]
    assert not Refund.objects.exists()


def test_a_form_without_its_version_is_refused(finance: Client, row: AbnormalPayment) -> None:
    data = form(row)
    del data["version"]
    assert finance.post(f"{ROWS}{row.pk}/refund/", data).status_code == 200
    assert not Refund.objects.exists()


def test_a_trade_is_refunded_in_part_by_hand(finance: Client, world: World) -> None:
    trade = paid_trade(world, 10_000)
    assert buttons(text(finance.get(f"{TRADES}{trade.pk}/change/")))["Ask for a refund"]
    page = text(finance.get(f"{TRADES}{trade.pk}/refund/"))
    assert "Refundable: ¥100.00" in page
    finance.post(f"{TRADES}{trade.pk}/refund/", form(trade, amount="33.30", route="manual", reason="moved out"))
    refund = Refund.objects.get()
    assert (refund.amount, refund.route, refund.abnormal_id, refund.kind) == (3330, "manual", None, "business")
    assert fresh(trade).refunding_amount == 3330


def test_currencies_keep_their_decimals(finance: Client, world: World) -> None:
    for currency, amount, minor in (("JPY", "333", 333), ("KWD", "0.333", 333)):
        trade = paid_page_trade(world, 1000, currency)
        assert finance.post(f"{TRADES}{trade.pk}/refund/", form(trade, amount=amount)).status_code == 302
        refund = Refund.objects.get(trade=trade)
        assert (refund.amount, refund.currency) == (minor, currency)


def paid_page_trade(world: World, amount: int, currency: str) -> Trade:
    order = world.order(amount=amount, currency=currency)
    attempt = factories.trade_pay(app=world.app, order=order, method="fake_page")
    confirm(attempt, world)
    return Trade.objects.get(pk=attempt.trade_id)


def test_where_the_channel_gives_nothing_back_people_pay_it_out(
    finance: Client, row: AbnormalPayment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakepay.FakeProvider, "can_refund", False)
    page = text(finance.get(f"{ROWS}{row.pk}/refund/"))
    assert 'value="original"' not in page
    assert 'value="manual"' in page


@pytest.mark.parametrize("role", ["operator", "auditor", "merchant", "app"])
def test_who_may_not_ask_gets_nothing(world: World, row: AbnormalPayment, role: str) -> None:
    tenant: dict[str, Any] = {"merchant": {"merchant": world.merchant}, "app": {"app": world.app}}.get(role, {})
    client = signed_in(make_staff(role, **tenant))
    assert not [label for label in buttons(text(client.get(f"{ROWS}{row.pk}/change/"))) if "efund" in label]
    for url in (f"{ROWS}{row.pk}/refund/", f"{TRADES}{row.trade_id}/refund/"):
        assert client.get(url).status_code == 403
        assert client.post(url, form(row)).status_code == 403
    for decision in ("ask", "confirm", "withdraw"):
        assert client.post(f"{ROWS}{row.pk}/keep/{decision}/", {"reason": "because"}).status_code == 403
    assert not Refund.objects.exists()
    assert fresh(row).acceptance_asked_by is None


@pytest.fixture
def generous_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every role may everything, so that only the scope is left to stop a stranger."""
    monkeypatch.setattr(RoleBackend, "has_perm", lambda self, user, perm, obj=None: True)


@pytest.mark.usefixtures("generous_roles")
def test_a_stranger_finds_no_payment_whatever_their_role_may(world: World, row: AbnormalPayment) -> None:
    stranger = signed_in(make_staff("merchant", merchant=factories.make_merchant()))
    for url in (f"{ROWS}{row.pk}/refund/", f"{TRADES}{row.trade_id}/refund/", f"{ROWS}{row.pk}/keep/ask/"):
        assert stranger.post(url, form(row)).status_code == 404
    assert not Refund.objects.exists()
    assert fresh(row).acceptance_asked_by is None


def test_two_people_keep_late_money_in_the_admin(finance: Client, second: Client, world: World) -> None:
    row = late_money(world)
    page = text(finance.get(f"{ROWS}{row.pk}/change/"))
    assert buttons(page)["Ask to keep it"]
    assert "Keeping it revives the order: it becomes paid with ¥12.34, and the app is told." in page
    finance.post(f"{ROWS}{row.pk}/keep/ask/", {"reason": "the payer wants the order"})
    page = text(finance.get(f"{ROWS}{row.pk}/change/"))
    assert not buttons(page)["Confirm keeping it"]
    assert "Somebody else has to confirm what you asked for." in page
    answer = finance.post(f"{ROWS}{row.pk}/keep/confirm/", {"reason": "me again"}, follow=True)
    assert "Somebody else has to confirm what you asked for." in text(answer)
    assert fresh(row.trade).state == "closed"
    assert buttons(text(second.get(f"{ROWS}{row.pk}/change/")))["Confirm keeping it"]
    second.post(f"{ROWS}{row.pk}/keep/confirm/", {"reason": "spoke to the payer"})
    assert (fresh(row).state, fresh(row.trade).state) == ("accepted", "paid")
    page = text(second.get(f"{ROWS}{row.pk}/change/"))
    assert "Kept, the order is paid" in page
    assert "spoke to the payer" in page


def test_confirming_twice_keeps_it_once(finance: Client, second: Client, world: World) -> None:
    row = late_money(world)
    finance.post(f"{ROWS}{row.pk}/keep/ask/", {"reason": "because"})
    for _ in range(2):
        second.post(f"{ROWS}{row.pk}/keep/confirm/", {"reason": "yes"})
    assert Event.objects.filter(type="abnormal.accepted").count() == 1
    assert Event.objects.filter(type="trade.paid").count() == 1


def test_keeping_needs_a_reason_and_a_post(finance: Client, world: World) -> None:
    row = late_money(world)
    assert finance.get(f"{ROWS}{row.pk}/keep/ask/").status_code == 405
    assert "Please give a reason." in text(finance.post(f"{ROWS}{row.pk}/keep/ask/", {"reason": " "}, follow=True))
    assert fresh(row).acceptance_asked_by is None
    assert finance.post(f"{ROWS}{row.pk}/keep/steal/", {"reason": "because"}).status_code == 404


def test_what_keeping_does_is_said_where_it_pays_nothing(finance: Client, world: World) -> None:
    row = wrong_money(world, Money(1000))
    page = text(finance.get(f"{ROWS}{row.pk}/change/"))
    assert "Keeping it does not pay the order, which stays “waiting for payment”." in page


def test_a_button_that_cannot_be_pressed_says_why(finance: Client, world: World, row: AbnormalPayment) -> None:
    finance.post(f"{ROWS}{row.pk}/refund/", form(row, amount="1.00"))
    page = text(finance.get(f"{ROWS}{row.pk}/change/"))
    assert not buttons(page)["Ask to keep it"]
    assert "Only money that nobody gives back can be kept." in page
    trade = factories.trade_pay(app=world.app, order=world.order(), method="fake_qr").trade
    assert "Nothing was paid." in text(finance.get(f"{TRADES}{trade.pk}/refund/"))
    finance.post(f"{TRADES}{trade.pk}/refund/", form(trade))
    assert not Refund.objects.filter(trade=trade).exists()


def test_the_page_says_what_the_policy_does(finance: Client, world: World, row: AbnormalPayment) -> None:
    assert "The policy for such money: ask a person." in text(finance.get(f"{ROWS}{row.pk}/change/"))
    RefundPolicy.objects.create(app=world.app, merchant=world.merchant, duplicate_payment="refund")
    assert "The policy for such money: refund it." in text(finance.get(f"{ROWS}{row.pk}/change/"))


def test_the_list_says_what_each_needs_and_filters_by_it(finance: Client, second: Client, world: World) -> None:
    asked, waiting, fresh_one = late_money(world), late_money(world), late_money(world)
    AbnormalPayment.objects.filter(pk__in=[asked.pk, waiting.pk]).update(next_policy_at=None)
    finance.post(f"{ROWS}{asked.pk}/keep/ask/", {"reason": "because"})
    page = text(finance.get(ROWS))
    for words in ("somebody has to keep it or give it back", "a second person has to confirm keeping it",
                  "the policy decides shortly"):  # fmt: skip
        assert words in page

    def shown(query: str) -> set[int]:
        rows = finance.get(f"{ROWS}?{query}")
        return {int(pk) for pk in re.findall(rf"{ROWS}(\d+)/change/", text(rows))}

    assert shown("state=person") == {waiting.pk}
    assert shown("state=confirm") == {asked.pk}
    assert shown("") == {asked.pk, waiting.pk, fresh_one.pk}
    second.post(f"{ROWS}{asked.pk}/keep/confirm/", {"reason": "yes"})
    assert shown("") == {waiting.pk, fresh_one.pk}
    assert "kept, the order is paid" in text(finance.get(f"{ROWS}?state=all"))


def test_the_landing_page_counts_what_waits_for_this_person(finance: Client, second: Client, world: World) -> None:
    row = late_money(world)
    finance.post(f"{ROWS}{row.pk}/keep/ask/", {"reason": "because"})

    def card(client: Client) -> str:
        found = re.search(r"Keeping to be confirmed</span><b>(\d+)</b>", text(client.get("/admin/")))
        return found.group(1) if found else "none"

    assert (card(second), card(finance), card(signed_in(make_staff("service")))) == ("1", "0", "none")


def test_tenants_see_that_it_is_asked_but_not_by_whom(finance: Client, world: World) -> None:
    row = late_money(world)
    finance.post(f"{ROWS}{row.pk}/keep/ask/", {"reason": "internal-reason"})
    theirs = text(signed_in(make_staff("merchant", merchant=world.merchant)).get(f"{ROWS}{row.pk}/change/"))
    assert "Somebody asked to keep this money" in theirs
    assert "finance asks" not in theirs


def test_its_own_line_of_time_holds_its_refunds_and_nothing_of_the_trades(
    finance: Client, world: World, row: AbnormalPayment
) -> None:
    finance.post(f"{ROWS}{row.pk}/refund/", form(row))
    Event.objects.create(
        type="trade.noted", created_at=timezone.now(), object_type="trade", object_id=row.trade_id, actor="system:x",
        trade_no=row.trade.trade_no, reason="only-of-the-trade",
    )  # fmt: skip
    page = text(finance.get(f"{ROWS}{row.pk}/change/"))
    assert "paid twice" in page[page.index("Timeline"):]
    assert "submitted → succeeded" in page, "an attempt's state, not a refund's"
    assert "only-of-the-trade" not in page
