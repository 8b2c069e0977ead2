"""POST /v1/gopay as an app sees it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from channels.base import Refused
from paycenter.errors import NotSent, UnknownOutcome
from tests import factories
from tests.fakes.declared import assert_as_declared
from tests.fakes.signing import Caller
from trades.api.gopay import Gopay
from trades.models import Attempt, Trade

PATH = "/v1/gopay"
NUMBER = re.compile(r"[0-9A-Z]{16,32}")


def errors(response: Any) -> dict[str, list[str]]:
    assert (response.status_code, response.json()["errno"]) == (400, 40001)
    return response.json()["data"]["errors"]


def outcome(response: Any) -> tuple[int, int]:
    return response.status_code, response.json()["errno"]


# ---- the answer --------------------------------------------------------------------------------
def test_the_answer_says_initiated_with_all_three_numbers(call: Caller, order: dict[str, Any], world: Any) -> None:
    found = call(PATH, order).json()
    assert (found["errno"], found["msg"]) == (0, "ok")
    data = found["data"]
    assert_as_declared(Gopay, data)
    assert NUMBER.fullmatch(data["trade_no"])
    assert NUMBER.fullmatch(data["attempt_no"])
    assert data["channel_order_no"] == data["attempt_no"]
    assert data["pay"] == {"type": "qrcode", "content": f"fake://pay/{data['attempt_no']}"}
    assert {k: data[k] for k in ("app_order_no", "channel_trade_no", "state", "amount", "currency")} == {
        "app_order_no": "ORDER-1", "channel_trade_no": None, "state": "paying", "amount": 1234, "currency": "CNY",
    }  # fmt: skip
    assert world.book.calls["pay"] == 1


def test_the_order_expires_after_half_an_hour_unless_it_says_otherwise(call: Caller, order: dict[str, Any]) -> None:
    now = timezone.now()

    def life(**values: Any) -> float:
        body = {**order, "app_order_no": f"E{len(values)}{values}"[:64], **values}
        data = call(PATH, body).json()["data"]
        at = datetime.fromisoformat(data["expire_at"])
        assert at.utcoffset() is not None
        return (at - now).total_seconds()

    assert life() == pytest.approx(1800, abs=30)
    assert life(expire_in=60) == pytest.approx(60, abs=30)
    assert life(expire_in=604800) == pytest.approx(604800, abs=30)
    assert life(expire_at=(now + timedelta(seconds=90)).isoformat()) == pytest.approx(90, abs=1)


def test_every_field_is_kept(call: Caller, order: dict[str, Any]) -> None:
    full = {
        **order, "payment_no": None, "body": "第三季度", "detail": {"rooms": ["A-101"], "n": 1.5, "deep": {"x": None}},
        "attach": "k=v&物业", "business_no": "B-1", "expire_in": 600, "notify_url": "https://app.example/notify",
        "return_url": "https://app.example/back?x=1", "client_ip": "2001:db8::1", "funding": "credit",
        "payer": {"openid": "o1", "buyer_id": "b1", "phone": "+86 139-1234-5678"}, "profit_sharing": True,
    }  # fmt: skip
    del full["payment_no"]
    assert outcome(call(PATH, full)) == (200, 0)
    trade = Trade.objects.get()
    for name in ("body", "detail", "attach", "business_no", "notify_url", "return_url", "client_ip", "funding"):
        assert getattr(trade, name) == full[name], name
    assert trade.payer == full["payer"]
    assert trade.phone_tail == "5678"
    assert trade.profit_sharing is True


def test_detail_and_attach_come_back_untouched(call: Caller, order: dict[str, Any]) -> None:
    detail = {"b": 1, "a": [True, None, 1.10, -0.5, 10**20, "物业 \"'<>\\ \u2028"], "": {}}
    call(PATH, {**order, "detail": detail, "attach": " kept as it is "})
    name = {"merchant_no": order["merchant_no"], "app_order_no": order["app_order_no"]}
    data = call("/v1/query/trade", name).json()["data"]
    assert data["detail"] == detail
    assert data["attach"] == " kept as it is "


def test_each_kind_of_instruction(call: Caller, order: dict[str, Any]) -> None:
    page = call(PATH, {**order, "app_order_no": "P", "method": "fake_page"}).json()["data"]
    jsapi = {**order, "app_order_no": "J", "method": "fake_jsapi", "payer": {"openid": "o1"}}
    sdk = call(PATH, jsapi).json()["data"]
    for data in (page, sdk):
        assert_as_declared(Gopay, data)
    assert page["pay"] == {
        "type": "redirect", "method": "GET", "url": f"https://fake.example/pay/{page['attempt_no']}",
    }  # fmt: skip
    assert sdk["pay"]["type"] == "sdk"
    assert sdk["pay"]["params"]["paySign"] == "sig"


# ---- parameters --------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["merchant_no", "method", "app_order_no", "amount", "subject"])
def test_what_is_required(call: Caller, order: dict[str, Any], name: str) -> None:
    del order[name]
    assert errors(call(PATH, order)) == {name: ["required"]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("merchant_no", 1), ("merchant_no", ""), ("payment_no", ""), ("payment_no", 7), ("method", "no_such"),
        ("method", None), ("app_order_no", ""), ("app_order_no", "x" * 65), ("app_order_no", "订单"),
        ("app_order_no", "a\nb"), ("amount", 0), ("amount", -1), ("amount", 10**11 + 1), ("amount", 1.0),
        ("amount", "100"), ("amount", True), ("amount", None), ("amount", 10**40), ("currency", "cny"),
        ("currency", "ZZZ"), ("currency", 1), ("subject", ""), ("subject", "x" * 129), ("subject", 5),
        ("body", "x" * 257), ("body", 1), ("detail", []), ("detail", "x"), ("detail", {"k": "x" * 4096}),
        ("attach", "x" * 257), ("attach", {}), ("business_no", "x" * 65), ("expire_in", 59), ("expire_in", 604801),
        ("expire_in", 60.5), ("expire_in", True), ("expire_at", "tomorrow"), ("expire_at", "2030-01-01T00:00:00"),
        ("notify_url", ""), ("notify_url", "app.example"), ("notify_url", "ftp://a/"),
        ("notify_url", "https://a/" + "x" * 503), ("return_url", "javascript:alert(1)"), ("client_ip", "1.2.3"),
        ("client_ip", ""), ("funding", ""), ("funding", "x" * 33), ("payer", "o1"), ("payer", []),
        ("profit_sharing", "true"), ("profit_sharing", 1), ("contract_no", 1), ("contract_no", ""),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named_and_nothing_is_kept(
    call: Caller, order: dict[str, Any], world: Any, field: str, value: Any
) -> None:
    assert list(errors(call(PATH, {**order, field: value}))) == [field]
    assert not Trade.objects.exists()
    assert not world.book.calls


@pytest.mark.parametrize(
    ("payer", "path"),
    [({"openid": 1}, "payer.openid"), ({"wechat": "x"}, "payer.wechat"), ({"phone": "call me"}, "payer.phone"),
     ({"buyer_id": ""}, "payer.buyer_id"), ({"openid": None}, "payer.openid")],
)  # fmt: skip
def test_the_payer_is_checked_by_dotted_path(call: Caller, order: dict[str, Any], payer: Any, path: str) -> None:
    assert list(errors(call(PATH, {**order, "payer": payer}))) == [path]


def test_all_wrong_parameters_are_reported_at_once(call: Caller, order: dict[str, Any]) -> None:
    found = errors(call(PATH, {**order, "amount": "1", "subject": "", "what": 1, "payer": {"x": 1}}))
    assert set(found) == {"amount", "subject", "what", "payer.x"}


@pytest.mark.parametrize("raw", [b"1.0", b"1e3", b"1E2", b"0x10", b"1_000", b"NaN"])
def test_an_amount_is_written_as_an_integer(call: Caller, order: dict[str, Any], raw: bytes) -> None:
    import json

    body = json.dumps({**order, "amount": 987654}).encode().replace(b"987654", raw)
    assert set(errors(call(PATH, body))) <= {"amount", "_body"}


def test_the_longest_values_that_are_allowed(call: Caller, order: dict[str, Any]) -> None:
    longest = {
        "app_order_no": "~" * 64, "amount": 10**11, "subject": "🏠" * 128, "body": "业" * 256, "attach": "业" * 256,
        "business_no": "业" * 64, "notify_url": "https://a/" + "x" * 502, "funding": "x" * 32,
        "detail": {"k": "x" * (4096 - 8)},
    }  # fmt: skip
    assert outcome(call(PATH, {**order, **longest})) == (200, 0)


def test_expire_in_and_expire_at_exclude_each_other(call: Caller, order: dict[str, Any]) -> None:
    at = (timezone.now() + timedelta(hours=1)).isoformat()
    assert list(errors(call(PATH, {**order, "expire_in": 600, "expire_at": at}))) == ["expire_at"]


@pytest.mark.parametrize("off", [timedelta(seconds=-1), timedelta(days=8), timedelta(days=-4000)])
def test_a_new_order_cannot_expire_in_the_past_or_after_more_than_a_week(
    call: Caller, order: dict[str, Any], off: timedelta
) -> None:
    at = (timezone.now() + off).isoformat()
    assert list(errors(call(PATH, {**order, "expire_at": at}))) == ["expire_at"]
    assert not Trade.objects.exists()


def test_expiry_counts_on_the_first_call_only(call: Caller, order: dict[str, Any]) -> None:
    first = call(PATH, {**order, "expire_in": 600}).json()["data"]
    again = call(PATH, {**order, "expire_at": (timezone.now() - timedelta(days=1)).isoformat()}).json()["data"]
    assert again == first


def test_an_order_that_expired_is_told_so_and_not_that_its_expiry_is_wrong(call: Caller, order: dict[str, Any]) -> None:
    body = {**order, "expire_at": (timezone.now() + timedelta(seconds=30)).isoformat()}
    call(PATH, body)
    factories.expire(Trade.objects.get())
    Trade.objects.update(expire_at=timezone.now() - timedelta(seconds=40))
    past = {**body, "expire_at": (timezone.now() - timedelta(seconds=40)).isoformat()}
    assert outcome(call(PATH, past)) == (409, 40902)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"method": "fake_jsapi"}, "payer.openid"), ({"currency": "USD"}, "currency"),
     ({"method": "fake_jsapi", "payer": {"buyer_id": "x"}}, "payer.openid")],
)  # fmt: skip
def test_what_a_method_needs_is_named(call: Caller, order: dict[str, Any], change: dict[str, Any], field: str) -> None:
    assert list(errors(call(PATH, {**order, **change}))) == [field]


def test_payer_keys_a_method_does_not_use_are_ignored(call: Caller, order: dict[str, Any]) -> None:
    assert outcome(call(PATH, {**order, "payer": {"buyer_id": "2088", "phone": "13912345678"}})) == (200, 0)


# ---- who may ------------------------------------------------------------------------------------
def test_a_merchant_of_nobody_and_one_of_another_app_look_alike(call: Caller, order: dict[str, Any]) -> None:
    foreign = factories.make_merchant()
    factories.make_account(foreign)
    nobody = call(PATH, {**order, "merchant_no": "M404"})
    theirs = call(PATH, {**order, "merchant_no": foreign.merchant_no})
    assert outcome(nobody) == outcome(theirs) == (403, 40302)
    assert nobody.json() == theirs.json()


@pytest.mark.parametrize("change", [{"payment_no": "Z404"}, {"method": "alipay_qr"}])
def test_an_account_or_method_the_merchant_has_not(call: Caller, order: dict[str, Any], change: Any) -> None:
    assert outcome(call(PATH, {**order, **change})) == (403, 40302)


def test_the_payment_number_may_be_left_out_while_one_account_has_the_method(
    call: Caller, order: dict[str, Any], world: Any
) -> None:
    assert outcome(call(PATH, order)) == (200, 0)
    second = factories.make_account(world.merchant)
    unclear = {**order, "app_order_no": "ORDER-2"}
    assert outcome(call(PATH, unclear)) == (403, 40302)
    assert outcome(call(PATH, {**unclear, "payment_no": second.payment_no})) == (200, 0)
    assert Attempt.objects.latest("id").account == second


def test_a_contract_that_does_not_exist(call: Caller, order: dict[str, Any], world: Any) -> None:
    assert outcome(call(PATH, {**order, "contract_no": "C1"})) == (404, 40401)
    assert not world.book.calls


# ---- the channel's words ----------------------------------------------------------------------------
def test_a_refusal_carries_the_channels_words_and_our_numbers(call: Caller, order: dict[str, Any], world: Any) -> None:
    world.book.fault("pay", Refused(code="RULE_LIMIT", message="over the limit"))
    found = call(PATH, order)
    assert outcome(found) == (502, 50201)
    data = found.json()["data"]
    trade = Trade.objects.get()
    assert data == {
        "channel_code": "RULE_LIMIT", "channel_msg": "over the limit", "trade_no": trade.trade_no,
        "attempt_no": trade.attempts.get().attempt_no, "app_order_no": "ORDER-1",
    }  # fmt: skip
    assert trade.state == "waiting"


def test_an_unknown_outcome_names_the_attempt_to_query(call: Caller, order: dict[str, Any], world: Any) -> None:
    world.book.fault("pay", UnknownOutcome("no answer"))
    found = call(PATH, order)
    assert outcome(found) == (504, 50401)
    attempt = Attempt.objects.get()
    assert found.json()["data"] == {
        "trade_no": attempt.trade.trade_no, "attempt_no": attempt.attempt_no, "app_order_no": "ORDER-1",
    }  # fmt: skip


def test_a_channel_that_cannot_be_reached_is_never_our_fault(call: Caller, order: dict[str, Any], world: Any) -> None:
    world.book.fault("pay", *[NotSent("no connection")] * 5)
    status, errno = outcome(call(PATH, order))
    assert (status, errno) in ((502, 50201), (503, 50301), (504, 50401))


# ---- the same order again ---------------------------------------------------------------------------
def test_the_same_call_again_gets_the_first_answer(call: Caller, order: dict[str, Any], world: Any) -> None:
    assert call(PATH, order).json() == call(PATH, order).json()
    assert world.book.calls["pay"] == 1


@pytest.mark.parametrize(
    "change",
    [{"subject": "x"}, {"body": "x"}, {"detail": {"a": 1}}, {"attach": "x"}, {"business_no": "x"},
     {"notify_url": "https://a/"}, {"attach": ""}],
)  # fmt: skip
def test_other_content_under_the_same_number(call: Caller, order: dict[str, Any], change: dict[str, Any]) -> None:
    call(PATH, order)
    assert outcome(call(PATH, {**order, **change})) == (409, 40903)


def test_a_paid_order(call: Caller, order: dict[str, Any], world: Any) -> None:
    made = call(PATH, order).json()["data"]
    world.book.pay(made["attempt_no"])
    from trades.querying import attempt_query

    attempt_query(attempt_id=Attempt.objects.get().pk, actor="test")
    assert outcome(call(PATH, order)) == (409, 40901)


def test_a_closed_order(call: Caller, order: dict[str, Any]) -> None:
    made = call(PATH, order).json()["data"]
    call("/v1/close", {"trade_no": made["trade_no"]})
    assert outcome(call(PATH, order)) == (409, 40902)


def test_gopay_costs_a_bounded_number_of_statements(
    committed_world: Any, client: Any, django_assert_max_num_queries: Any
) -> None:
    """The first call of an order, with everything it writes."""
    body = {
        "merchant_no": committed_world.merchant.merchant_no, "method": "fake_qr", "app_order_no": "Q1",
        "amount": 5, "subject": "x",
    }  # fmt: skip
    app = Caller(client, committed_world.app.app_id, factories.HMAC_SECRET)
    app(PATH, {**body, "app_order_no": "warm"})
    with django_assert_max_num_queries(30):
        assert outcome(app(PATH, body)) == (200, 0)
