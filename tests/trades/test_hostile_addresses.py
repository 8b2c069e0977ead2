"""Bytes in an address or a query that no database text can hold are nobody's fault of ours: never a 5xx."""

from __future__ import annotations

import pytest
from django.test import Client

from cashier.models import CashierOrder
from tests.conftest import World
from trades.finding import trade_ids
from trades.services import trade_open, trade_pay

HOSTILE = ("%00", "A%00B", "%ff%fe", "%ed%a0%80", "%F0%9F%98%80", "x" * 3000)


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("address", ["/notify/fake_qr/{}", "/notify/{}/A1", "/return/fake_qr/{}", "/return/{}/A1"])
def test_addresses_of_channels(world: World, client: Client, address: str, text: str) -> None:
    assert client.post(address.format(text), b"{}", content_type="text/plain").status_code == 404


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("address", ["/c/{}", "/c/{}/status", "/c/{}/go", "/q/{}", "/c/theme/{}.css"])
def test_addresses_of_payers(world: World, client: Client, address: str, text: str) -> None:
    assert client.get(address.format(text)).status_code == 404


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "query", ["refused={}", "notice={}&method={}", "lang={}", "method={}", "state={}&code={}", "x{}={}"]
)
@pytest.mark.parametrize("page", ["", "/go", "/status", "/auth/fakepay"])
def test_queries_of_payers(world: World, client: Client, page: str, query: str, text: str) -> None:
    order = CashierOrder.objects.create(trade=trade_open(app=world.app, order=world.order()), display=[])
    address = f"/c/{order.token}{page}?{query.replace('{}', text)}"
    assert client.get(address).status_code < 500


@pytest.mark.parametrize("field", ["method", "amount", "csrfmiddlewaretoken"])
def test_forms_of_payers(world: World, client: Client, field: str) -> None:
    order = CashierOrder.objects.create(trade=trade_open(app=world.app, order=world.order()), display=[])
    for text in ("\0", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "9" * 5000, "😀"):
        assert client.post(f"/c/{order.token}/pay", {"method": "fake_qr", field: text}).status_code < 500


@pytest.mark.parametrize("text", HOSTILE)
def test_a_browser_that_comes_back_with_nonsense(world: World, client: Client, text: str) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    assert client.get(f"/return/fake_qr/{attempt.attempt_no}?{text}={text}").status_code < 500
    assert client.post(f"/notify/fake_qr/{attempt.attempt_no}?{text}", b"\0\xff", "text/plain").status_code < 500


@pytest.mark.parametrize("term", ["\0", "A\0B", "\n", "\x7f", " "])
def test_a_search_for_what_no_number_can_be_finds_nothing(world: World, term: str) -> None:
    trade_pay(app=world.app, order=world.order(), method="fake_qr")
    assert trade_ids(term) == set()
