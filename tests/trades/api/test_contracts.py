"""contract/sign, query and terminate, and gopay under a contract, as an app calls them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from channels.base import (
    ContractAnswer,
    ContractMethod,
    ContractRef,
    ContractWord,
    InboundRequest,
    Initiated,
    Label,
    NoAction,
    PayOrder,
    PayResult,
    Redirect,
    Refused,
    SignOrder,
    discovery,
)
from paycenter.errors import UnknownOutcome
from tests import factories
from tests.fakes.declared import assert_as_declared
from tests.fakes.signing import Caller
from trades.api.contract_query import ContractQuery
from trades.api.contract_sign import ContractSign
from trades.api.contract_terminate import ContractTerminate
from trades.contracts.confirm import contract_confirm
from trades.contracts.models import Contract
from trades.models import Attempt, Trade


class FakeDeduct(ContractMethod):
    code = "fake_deduct"
    name = Label("测试代扣", "Fake deduction")
    asked: list[PayOrder]
    refuses: Refused | None = None
    silent = False

    def __init__(self) -> None:
        self.asked = []

    def pay(self, provider: Any, order: PayOrder) -> PayResult:
        self.asked.append(order)
        if self.silent:
            raise UnknownOutcome("no answer")
        return Initiated(instruction=NoAction(), channel_trade_no=f"CH{order.order_no}")

    def sign(self, provider: Any, order: SignOrder) -> PayResult:
        if self.silent:
            raise UnknownOutcome("no answer")
        return self.refuses or Initiated(instruction=Redirect(f"https://fake.example/sign/{order.contract_no}"))

    def query_contract(self, provider: Any, contract: ContractRef) -> ContractAnswer:
        return ContractAnswer(state=ContractWord.NOT_FOUND, contract_no=contract.contract_no)

    def terminate_contract(self, provider: Any, contract: ContractRef) -> ContractAnswer | Refused:
        word = ContractAnswer(state=ContractWord.TERMINATED, contract_no=contract.contract_no)
        return self.refuses or word

    def parse_contract_notify(self, provider: Any, request: InboundRequest) -> ContractAnswer:
        raise NotImplementedError


@pytest.fixture
def scene(world: Any, monkeypatch: pytest.MonkeyPatch) -> FakeDeduct:
    made = FakeDeduct()
    providers, methods, owners = discovery._registry()
    registry = (
        providers, MappingProxyType({**methods, made.code: made}), MappingProxyType({**owners, made.code: "fakepay"}),
    )  # fmt: skip
    monkeypatch.setattr(discovery, "_registry", lambda: registry)
    world.account = factories.make_account(world.merchant, methods=(made.code,))
    return made


@pytest.fixture
def wish(world: Any, scene: FakeDeduct) -> dict[str, Any]:
    return {"merchant_no": world.merchant.merchant_no, "method": scene.code, "app_contract_no": "HOUSE-502"}


def outcome(response: Any) -> tuple[int, int]:
    return response.status_code, response.json()["errno"]


def activate(contract_no: str, number: str = "AGR-1") -> Contract:
    contract = Contract.objects.get(contract_no=contract_no)
    word = ContractAnswer(state=ContractWord.ACTIVE, contract_no=contract_no, channel_contract_no=number)
    return contract_confirm(contract_id=contract.pk, word=word, actor="channel:fakepay")


def signed(call: Caller, wish: dict[str, Any], number: str = "AGR-1", **changes: Any) -> str:
    contract_no: str = call("/v1/contract/sign", {**wish, **changes}).json()["data"]["contract_no"]
    activate(contract_no, number)
    return contract_no


def gopay(call: Caller, wish: dict[str, Any], **more: Any) -> Any:
    body = {"merchant_no": wish["merchant_no"], "method": wish["method"], "app_order_no": "BILL-1",
            "amount": 1234, "subject": "Property fee"}  # fmt: skip
    return call("/v1/gopay", {**body, **more})


def test_sign_query_terminate(call: Caller, wish: dict[str, Any]) -> None:
    made = call("/v1/contract/sign", wish)
    assert outcome(made) == (200, 0)
    data = made.json()["data"]
    assert_as_declared(ContractSign, data)
    assert (data["app_contract_no"], data["state"]) == ("HOUSE-502", "signing")
    assert data["pay"]["url"].endswith(data["contract_no"])
    assert outcome(call("/v1/contract/terminate", {"contract_no": data["contract_no"]})) == (409, 40904)
    activate(data["contract_no"])
    theirs = {"app_contract_no": "HOUSE-502", "merchant_no": wish["merchant_no"]}
    found = call("/v1/contract/query", theirs).json()["data"]
    assert_as_declared(ContractQuery, found)
    assert found == {**data, "state": "active"}
    ended = call("/v1/contract/terminate", theirs).json()["data"]
    assert_as_declared(ContractTerminate, ended)
    assert ended["state"] == "terminated"
    assert call("/v1/contract/sign", wish).json()["data"] == ended, "the same number is the same contract, for good"


def test_bad_requests(call: Caller, wish: dict[str, Any], world: Any) -> None:
    assert outcome(call("/v1/contract/sign", {**wish, "method": "fake_qr"})) == (400, 40001)
    assert outcome(call("/v1/contract/sign", {**wish, "amount": 1})) == (400, 40001)
    assert outcome(call("/v1/contract/sign", {**wish, "merchant_no": "M9999999999"})) == (403, 40302)
    assert outcome(call("/v1/contract/query", {})) == (400, 40001)
    assert outcome(call("/v1/contract/query", {"contract_no": "C1", "app_contract_no": "X"})) == (400, 40001)
    assert outcome(call("/v1/contract/query", {"contract_no": "C1"})) == (404, 40401)
    assert Contract.objects.count() == 0


def test_a_refused_signature_fails_the_contract(call: Caller, wish: dict[str, Any], scene: FakeDeduct) -> None:
    scene.refuses = Refused(code="NO_PERMISSION", message="not contracted")
    answer = call("/v1/contract/sign", wish)
    assert outcome(answer) == (502, 50201)
    assert answer.json()["data"]["channel_code"] == "NO_PERMISSION"
    assert Contract.objects.get().state == "failed"


def test_an_unknown_outcome_is_prepared_again_under_the_same_number(
    call: Caller, wish: dict[str, Any], scene: FakeDeduct
) -> None:
    scene.silent = True
    lost = call("/v1/contract/sign", wish)
    assert outcome(lost) == (504, 50401)
    scene.silent = False
    again = call("/v1/contract/sign", wish).json()["data"]
    assert again["contract_no"] == lost.json()["data"]["contract_no"]


def test_gopay_hands_over_the_channels_number(call: Caller, wish: dict[str, Any], scene: FakeDeduct) -> None:
    contract_no = signed(call, wish)
    answer = gopay(call, wish, contract_no=contract_no)
    assert outcome(answer) == (200, 0)
    assert answer.json()["data"]["pay"] == {"type": "none"}
    assert scene.asked[0].contract_no == "AGR-1"
    assert outcome(gopay(call, wish, contract_no=contract_no)) == (200, 0)
    assert len(scene.asked) == 1, "the same order again within the window calls nobody"


@pytest.mark.parametrize("number", ["C20261121000000000000AAAAAAA", "HOUSE-502", "AGR-1"])
def test_gopay_needs_the_centers_number(call: Caller, wish: dict[str, Any], number: str) -> None:
    signed(call, wish)
    assert outcome(gopay(call, wish, contract_no=number)) == (404, 40401)
    assert Trade.objects.count() == 0


def test_gopay_with_what_the_contract_is_not_for(call: Caller, wish: dict[str, Any]) -> None:
    contract_no = signed(call, wish)
    assert outcome(gopay(call, wish)) == (400, 40001)
    assert outcome(gopay(call, wish, contract_no=contract_no, method="fake_qr")) == (400, 40001)
    assert outcome(gopay(call, wish, contract_no=contract_no, payment_no="Z0")) == (400, 40001)


def test_another_contract_is_another_attempt(call: Caller, wish: dict[str, Any], scene: FakeDeduct) -> None:
    """After an unknown outcome the same number is never sent again for another payer."""
    mine, theirs = signed(call, wish), signed(call, wish, "AGR-2", app_contract_no="HOUSE-503")
    scene.silent = True
    assert outcome(gopay(call, wish, contract_no=mine)) == (504, 50401)
    scene.silent = False
    assert outcome(gopay(call, wish, contract_no=theirs)) == (200, 0)
    assert [(order.contract_no, order.order_no) for order in scene.asked] == list(
        zip(("AGR-1", "AGR-2"), Attempt.objects.order_by("id").values_list("channel_order_no", flat=True), strict=True)
    )


def test_a_number_that_changes_is_refused(call: Caller, wish: dict[str, Any]) -> None:
    contract_no = signed(call, wish)
    activate(contract_no, "AGR-9")
    assert Contract.objects.get().channel_contract_no == "AGR-1"


def test_a_terminated_contract_is_never_active_again(call: Caller, wish: dict[str, Any]) -> None:
    contract_no = signed(call, wish)
    call("/v1/contract/terminate", {"contract_no": contract_no})
    assert activate(contract_no).state == "terminated"
