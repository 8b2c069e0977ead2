"""Deduction without password, for every scene with contracts: signed, used, refused and ended, through the center."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from merchants.api.errors import BadParameter, ChannelRefused, ChannelUnknown, ContentDiffers, NotFound, NotPossible
from notifications.models import Alert, Notification
from paycenter.models import Event
from tests import factories
from tests.contract.cases import deductions
from tests.contract.office import Office
from trades.contracts.models import Contract
from trades.contracts.selectors import contract_data, contract_get
from trades.contracts.services import ContractRequest, contract_sign, contract_terminate, contract_work
from trades.models import Attempt, Trade
from trades.querying import attempt_query
from trades.services import trade_pay

pytestmark = pytest.mark.parametrize("case", deductions(), ids=str)
TOLD = "http://127.0.0.1:9/told"


@dataclass(frozen=True, slots=True)
class Consent:
    """One payer's contract and everybody around it."""

    office: Office

    def request(self, **changes: Any) -> ContractRequest:
        values = {"app_contract_no": "HOUSE-502", "notify_url": TOLD, "payer": dict(self.office.desk.payer)}
        merchant_no, method = self.office.merchant.merchant_no, self.office.desk.case.method
        return ContractRequest(**{"merchant_no": merchant_no, "method": method, **values, **changes})

    def sign(self, **changes: Any) -> Contract:
        return contract_sign(app=self.office.app, request=self.request(**changes))

    def control(self, contract: Contract, outcome: str, **more: Any) -> dict[str, Any]:
        data = {"outcome": outcome, **more}
        answer = self.office.desk.sandbox.control("POST", f"/contracts/{contract.contract_no}", data)
        assert answer.status == 200, answer.text
        return dict(answer.json)

    def signed(self) -> Contract:
        contract = self.sign()
        self.office.entrance.during(lambda: self.control(contract, "sign", pay=contract.pay))
        heard = self.office.entrance
        heard.until(lambda: heard.about(contract.contract_no))
        found = self.fresh(contract)
        assert found.state == "active"
        return found

    def deduct(self, contract: Contract, **changes: Any) -> Attempt:
        order = factories.make_order(self.office.merchant, **{"notify_url": TOLD, **changes})
        method = self.office.desk.case.method
        return trade_pay(app=self.office.app, order=order, method=method, contract_no=contract.contract_no)

    def channel(self, contract: Contract) -> dict[str, Any]:
        return dict(self.office.desk.sandbox.control("GET", f"/contracts/{contract.contract_no}").json)

    @staticmethod
    def fresh(contract: Contract) -> Contract:
        return Contract.objects.select_related("app", "merchant", "account").get(pk=contract.pk)


@pytest.fixture
def consent(office: Office) -> Consent:
    return Consent(office)


def events(contract: Contract) -> list[str]:
    rows = Event.objects.filter(object_type="contract", object_id=contract.pk, public=True)
    return list(rows.order_by("id").values_list("type", flat=True))


def told() -> list[str]:
    return list(Notification.objects.order_by("id").values_list("type", flat=True))


def test_a_signed_contract_is_deducted_without_the_payer(consent: Consent) -> None:
    contract = consent.sign()
    assert contract_data(contract) == {
        "contract_no": contract.contract_no, "app_contract_no": "HOUSE-502", "state": "signing", "pay": contract.pay,
    }  # fmt: skip
    assert contract.pay["type"] in ("redirect", "sdk")
    contract = consent.signed()
    assert events(contract) == ["contract.created", "contract.signed"]
    assert told() == ["contract.signed"]
    assert consent.channel(contract)["channel_contract_no"] == contract.channel_contract_no

    attempt = consent.deduct(contract, amount=8801)

    assert attempt.pay == {"type": "none"}
    assert attempt.trade.state == "paying", "initiated, never paid, whatever the channel answered"
    attempt_query(attempt_id=attempt.pk, actor="test")
    trade = Trade.objects.get(pk=attempt.trade_id)
    assert (trade.state, trade.paid_amount, trade.contract_no) == ("paid", 8801, contract.contract_no)


def test_signing_again_is_the_same_contract(consent: Consent) -> None:
    first = consent.sign()
    assert consent.sign().contract_no == first.contract_no
    with pytest.raises(ContentDiffers):
        consent.sign(notify_url="http://127.0.0.1:9/elsewhere")
    assert consent.signed().contract_no == first.contract_no
    assert consent.sign().state == "active"
    assert Contract.objects.count() == 1


def test_what_is_not_active_deducts_nothing(consent: Consent) -> None:
    contract = consent.sign()
    with pytest.raises(NotFound):
        consent.deduct(contract)
    active = consent.signed()
    stranger = factories.make_app(consent.office.merchant)
    order = factories.make_order(consent.office.merchant)
    with pytest.raises(NotFound):
        trade_pay(app=stranger, order=order, method=active.method, contract_no=active.contract_no)
    with pytest.raises(NotFound):
        contract_get(app=stranger, contract_no=active.contract_no)
    with pytest.raises(BadParameter):
        trade_pay(app=consent.office.app, order=order, method=active.method)
    assert Trade.objects.count() == 0


def test_a_refused_deduction_fails_the_trade(consent: Consent) -> None:
    contract = consent.signed()
    consent.control(contract, "limit", amount=100)

    with pytest.raises(ChannelRefused) as refused:
        consent.deduct(contract, amount=101)

    assert refused.value.data["channel_code"]
    trade = Trade.objects.get()
    assert (trade.state, trade.paid_amount) == ("failed", 0)
    assert told() == ["contract.signed", "trade.failed"]


def test_an_answer_that_is_lost_is_asked_for(consent: Consent) -> None:
    """The money was taken; nobody answered. It is found by the query, and taken once."""
    contract, desk = consent.signed(), consent.office.desk
    desk.fault("pay", "lost_reply")
    with pytest.raises(ChannelUnknown):
        consent.deduct(contract, app_order_no="BILL-11")
    desk.end_faults()

    attempt = Attempt.objects.get()
    assert attempt.state == "unknown"
    attempt_query(attempt_id=attempt.pk, actor="test")
    assert Trade.objects.get().state == "paid"
    assert desk.book(attempt.attempt_no)["calls"]["pay"] == 1


def test_a_payer_who_turns_back_leaves_it_unsigned_for_a_day(consent: Consent) -> None:
    contract = consent.sign()
    consent.control(contract, "cancel", pay=contract.pay)
    contract_work(contract.pk)
    waiting = consent.fresh(contract)
    assert waiting.state == "signing"
    assert waiting.next_query_at is not None

    Contract.objects.filter(pk=contract.pk).update(created_at=timezone.now() - timedelta(days=1, seconds=1))
    contract_work(contract.pk)

    ended = consent.fresh(contract)
    assert (ended.state, ended.next_query_at) == ("failed", None)
    assert events(contract) == ["contract.created", "contract.failed"]
    assert told() == []


def test_a_silent_channel_never_makes_it_fail(consent: Consent) -> None:
    contract, desk = consent.sign(), consent.office.desk
    Contract.objects.filter(pk=contract.pk).update(created_at=timezone.now() - timedelta(days=2))
    desk.fault("query_contract", "http500")
    contract_work(contract.pk)
    desk.end_faults()
    assert consent.fresh(contract).state == "signing"


def test_the_query_learns_what_no_notice_told(consent: Consent) -> None:
    contract = consent.sign()
    consent.control(contract, "sign", pay=contract.pay)  # nobody listens: the notice is lost
    assert consent.fresh(contract).state == "signing"

    contract_work(contract.pk)

    found = consent.fresh(contract)
    assert (found.state, found.next_query_at) == ("active", None)
    assert told() == ["contract.signed"]


def test_ending_it_ends_it_at_the_channel(consent: Consent) -> None:
    contract = consent.sign()
    with pytest.raises(NotPossible):
        contract_terminate(contract=contract, actor="app:test")
    contract = consent.signed()

    ended = contract_terminate(contract=contract, actor="app:test")

    assert ended.state == "terminated"
    assert consent.channel(contract)["state"] == "ended"
    assert told() == ["contract.signed", "contract.terminated"]
    assert contract_terminate(contract=ended, actor="app:test").state == "terminated"
    with pytest.raises(NotFound):
        consent.deduct(contract)


@pytest.mark.parametrize("fault", ["http500", "lost_reply"])
def test_an_end_with_an_unknown_answer_is_tried_again(consent: Consent, fault: str) -> None:
    contract, desk = consent.signed(), consent.office.desk
    desk.fault("terminate_contract", fault)
    with pytest.raises(ChannelUnknown):
        contract_terminate(contract=contract, actor="app:test")
    desk.end_faults()
    with pytest.raises(NotFound):
        consent.deduct(contract)
    assert consent.fresh(contract).next_query_at is not None

    contract_work(contract.pk)

    assert consent.fresh(contract).state == "terminated"
    assert told() == ["contract.signed", "contract.terminated"]


def test_the_payer_ends_it_at_the_channel(consent: Consent) -> None:
    contract, entrance = consent.signed(), consent.office.entrance
    before = len(entrance.about(contract.contract_no))
    entrance.during(lambda: consent.control(contract, "terminate"))
    entrance.until(lambda: len(entrance.about(contract.contract_no)) > before)
    assert consent.fresh(contract).state == "terminated"
    with pytest.raises(NotFound):
        consent.deduct(contract)


@pytest.mark.parametrize("kind", ["forged", "unsigned"])
def test_a_false_notice_changes_nothing(consent: Consent, kind: str) -> None:
    contract = consent.sign()
    consent.control(contract, "cancel", pay=contract.pay)
    path = f"/contracts/{contract.contract_no}/notify"

    answer = consent.office.entrance.during(
        lambda: consent.office.desk.sandbox.control("POST", path, {"notify": kind})
    )

    assert answer.status == 200, answer.text
    assert consent.fresh(contract).state == "signing"
    assert Alert.objects.filter(kind="security").exists()
    assert told() == []


def test_a_notice_at_another_contract_s_address_is_refused(consent: Consent) -> None:
    mine, other = consent.signed(), consent.sign(app_contract_no="HOUSE-503")
    heard = consent.office.entrance.about(mine.contract_no)[-1].request
    consent.office.entrance.request(
        type(heard)(
            method=heard.method, path=urlsplit(heard.path).path.replace(mine.contract_no, other.contract_no),
            query=heard.query, headers=heard.headers, body=heard.body,
        )
    )  # fmt: skip
    assert consent.fresh(other).state == "signing"
    assert Alert.objects.filter(kind="security").exists()
