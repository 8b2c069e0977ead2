"""The exchange log: masked rows, one statement, and never a failure for the caller."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
import structlog
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from paycenter import exchange
from paycenter.exchange import record_channel_calls, record_inbound
from paycenter.http import HttpCall
from paycenter.models import Exchange, RetrySchedule

pytestmark = pytest.mark.django_db
NUMBER = "P20261121033418123456ABCDEFG"


def call(**values: Any) -> HttpCall:
    made = HttpCall(
        "POST", "https://channel.example/gateway.do?charset=utf-8", {"Authorization": "Basic bWU6cGFzcw=="}, b""
    )
    for name, value in {"operation": "pay", "status": 200, "elapsed_ms": 12, **values}.items():
        setattr(made, name, value)
    return made


def inbound(**values: Any) -> None:
    record_inbound(
        **{"peer": "app:APP1", "operation": "gopay", "method": "POST", "url": "/v1/gopay", "status": 200, **values}
    )


class TestChannelCalls:
    def test_all_in_one_row_each(self) -> None:
        calls = [
            call(request_body=b'{"out_trade_no":"A1"}', response_body=b'{"code":"10000"}'),
            call(operation="query", status=None, error="UnknownOutcome: no answer within 8 s"),
        ]
        record_channel_calls(
            calls, channel="alipay", trade_no=NUMBER, attempt_no="A1", app_order_no="order-1", merchant_no="M1"
        )
        first, second = Exchange.objects.order_by("id")
        assert (first.direction, first.peer, first.operation, first.status) == ("out", "channel:alipay", "pay", 200)
        assert (first.trade_no, first.attempt_no, first.app_order_no, first.merchant_no) == (
            NUMBER,
            "A1",
            "order-1",
            "M1",
        )
        assert '{"out_trade_no":"A1"}' in first.request
        assert '{"code":"10000"}' in first.response
        assert first.elapsed_ms == 12
        assert (second.status, second.error) == (None, "UnknownOutcome: no answer within 8 s")

    def test_secrets_are_masked_before_they_are_written(self) -> None:
        biz = json.dumps({"buyer_id": "2088102146225135", "total_amount": "0.01", "sessionCode": "Zq7code9xK"})
        record_channel_calls(
            [
                call(
                    url="https://u:Zq7pw9xK@channel.example/x?access_token=Zq7token9xK",
                    request_body=urlencode({"biz_content": biz, "sign": "abc"}).encode(),
                    response_headers={"Set-Cookie": "sid=Zq7cookie9xK", "X-Trace": "t1"},
                    response_body=b'{"phone":"13812345678","password":"Zq7word9xK"}',
                    error="failed with secret=Zq7err9xK",
                )
            ],
            channel="alipay",
            masked_keys={"session_code"},
        )
        row = Exchange.objects.get()
        everything = " ".join(str(getattr(row, f.name)) for f in Exchange._meta.fields)
        assert "Zq7" not in everything
        assert "bWU6cGFzcw" not in everything
        assert "2088102146225135" not in everything
        assert "13812345678" not in everything
        assert "0.01" in row.request
        assert "X-Trace: t1" in row.response

    def test_one_statement_whatever_the_number(self, django_assert_num_queries: Callable[..., Any]) -> None:
        with django_assert_num_queries(3):  # savepoint, one insert, release
            record_channel_calls([call() for _ in range(7)], channel="wechat")
        assert Exchange.objects.count() == 7
        with django_assert_num_queries(0):
            record_channel_calls([], channel="wechat")

    @pytest.mark.django_db(transaction=True)
    def test_alone_it_needs_no_transaction(self, django_assert_num_queries: Callable[..., Any]) -> None:
        with django_assert_num_queries(1) as seen:
            record_channel_calls([call()], channel="wechat")
        assert seen.captured_queries[0]["sql"].startswith("INSERT")

    def test_long_and_binary_bodies_are_bounded(self) -> None:
        record_channel_calls(
            [
                call(
                    request_body=b"\x00\xff" * 100_000,
                    response_body=("账单," * 200_000).encode(),
                    url="https://a/" + "x" * 5000,
                )
            ],
            channel="wechat",
        )
        row = Exchange.objects.get()
        assert len(row.request) <= 8192
        assert len(row.response) <= 8192
        assert len(row.url) <= 1024
        assert "\x00" not in row.request
        assert row.response.endswith("…[cut]")


class TestInbound:
    def test_what_was_asked_and_answered(self) -> None:
        inbound(
            request_headers={"X-App-Id": "APP1", "X-Signature": "c2ln", "Accept": "*/*"},
            request_body=b'{"app_order_no":"o1","amount":13812345678,"payer":{"phone":"13812345678"}}',
            response_body='{"errno":0,"data":{"amount":13812345678}}',
            trade_no=NUMBER, attempt_no="A1", app_order_no="o1", merchant_no="M1", elapsed_ms=7,
        )  # fmt: skip
        row = Exchange.objects.get()
        assert (row.direction, row.peer, row.operation, row.method, row.url) == (
            "in",
            "app:APP1",
            "gopay",
            "POST",
            "/v1/gopay",
        )
        assert (row.trade_no, row.app_order_no, row.status, row.elapsed_ms) == (NUMBER, "o1", 200, 7)
        assert "X-App-Id: APP1" in row.request
        assert '"amount":13812345678' in row.request  # an amount, not a phone
        assert '"13812345678"' not in row.request
        assert '"errno":0' in row.response
        assert abs((timezone.now() - row.created_at).total_seconds()) < 5

    def test_a_return_with_a_signed_query(self) -> None:
        inbound(peer="channel:alipay", operation="return", method="GET",
                url=f"/return/alipay_page/A1?out_trade_no=A1&auth_code=Zq7code9xK&trade_no={NUMBER}")  # fmt: skip
        row = Exchange.objects.get()
        assert "Zq7" not in row.url
        assert NUMBER in row.url

    def test_it_carries_the_requests_id(self) -> None:
        structlog.contextvars.bind_contextvars(request_id="r" * 32)
        try:
            inbound()
        finally:
            structlog.contextvars.clear_contextvars()
        inbound()
        assert list(Exchange.objects.order_by("id").values_list("request_id", flat=True)) == ["r" * 32, ""]

    @pytest.mark.parametrize(
        "odd",
        [
            {"app_order_no": "o" * 500},
            {"app_order_no": "a\x00b"},
            {"url": "/x?" + "y" * 9000},
            {"merchant_no": "M" * 99},
            {"status": None},
        ],
    )
    def test_odd_input_is_written_all_the_same(self, odd: dict[str, Any]) -> None:
        inbound(**odd)
        assert Exchange.objects.count() == 1


class TestFailure:
    def test_a_broken_table_costs_the_caller_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_rows: Exchange) -> None:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO no_such_table VALUES (1)")

        monkeypatch.setattr(exchange.compiled, "insert", broken)
        logged: list[dict[str, Any]] = []
        monkeypatch.setattr(exchange.log, "error", lambda text, **fields: logged.append({"text": text, **fields}))
        with transaction.atomic():
            RetrySchedule.objects.create(name="before", delays=[1])
            inbound(trade_no=NUMBER, request_body=b"password=Zq7secret")
            RetrySchedule.objects.create(name="after", delays=[1])
        assert RetrySchedule.objects.count() == 2
        (entry,) = logged
        assert entry["trade_no"] == NUMBER
        assert "Zq7" not in str(entry)
        with pytest.raises(DatabaseError), transaction.atomic():
            broken()

    def test_a_bug_in_masking_costs_the_caller_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exchange, "mask_text", lambda *_a, **_k: 1 / 0)
        inbound()
        record_channel_calls([call()], channel="alipay")
        assert not Exchange.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_several_one_that_cannot_be_stored_spoils_no_other() -> None:
    rows = [
        exchange.inbound_row(peer="channel:x", operation=f"notify{n}", method="POST", url="/notify/x/A1", status=200)
        for n in range(3)
    ]
    given = [row for row in rows if row is not None]
    given[1].operation = "x" * 500
    exchange.write_answered(given)
    assert set(Exchange.objects.values_list("operation", flat=True)) == {"notify0", "notify2"}
