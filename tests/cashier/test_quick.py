"""What is answered before Django's handler begins is what Django would answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.test import Client, RequestFactory

from cashier import quick as cashier_quick
from cashier.models import CashierOrder
from merchants.models import PaymentAccount
from paycenter.metrics import _REQUESTS
from paycenter.quick import Answer, QuickAnswers
from tests import factories
from tests.cashier.conftest import MINI, PC, PHONE, WECHAT, Cashier
from trades.closing import trade_close
from trades.models import Trade

Said = tuple[str, dict[str, str], bytes]


class _Left(Exception):
    """Django was asked."""


def _nobody(_environ: Any, _start: Any) -> Any:
    raise _Left


def _ask(application: Any, environ: dict[str, Any]) -> Said:
    said: list[Any] = []
    parts = application(environ, lambda status, headers, _error=None: said.extend((status, dict(headers))))
    return said[0], said[1], b"".join(parts)


def _environ(path: str, verb: str = "GET", **headers: str) -> dict[str, Any]:
    given = {"host": "testserver", **headers}
    environ: dict[str, Any] = RequestFactory().generic(verb, path, headers=given).environ
    return environ


def quickly(path: str, **headers: str) -> Said:
    """The answer, which Django has no part in."""
    return _ask(QuickAnswers(_nobody, cashier_quick.ROUTES), _environ(path, **headers))


def both_ways(path: str, **headers: str) -> tuple[Said, Said]:
    """Quickly, and from Django, without what differs between any two answers."""
    found = quickly(path, **headers), _ask(get_wsgi_application(), _environ(path, **headers))
    numbers = {headers.pop("X-Request-Id") for _status, headers, _body in found}
    assert len(numbers) == 2
    assert all(len(number) == 32 for number in numbers)
    return found


def is_left(path: str, verb: str = "GET", **headers: str) -> bool:
    try:
        _ask(QuickAnswers(_nobody, cashier_quick.ROUTES), _environ(path, verb, **headers))
    except _Left:
        return True
    return False


@pytest.fixture(autouse=True)
def kept_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the test's transaction, where a request's end gives its own back."""
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: None)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both answers are given at the same moment: they say how many seconds are left."""
    from django.utils import timezone

    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("language", ["en", "zh-CN,zh;q=0.9", "fr", "", "x" * 300])
@pytest.mark.parametrize("agent", [PC, PHONE, WECHAT, MINI, ""])
def test_the_page_to_choose_on_is_the_same(cashier: Cashier, agent: str, language: str) -> None:
    cashier.offer("fake_qr", "fake_page", "fake_form")
    rows = [{"label": "<房号>", "value": "3&1"}, {"label": "b", "value": ""}]
    page = cashier.open(subject='<script>alert("1")</script> & \'', display=rows)
    quickly_said, django = both_ways(f"/c/{page.token}", **{"user-agent": agent, "accept-language": language})
    assert quickly_said == django
    assert quickly_said[0] == "200 OK"
    assert b"<script>alert" not in quickly_said[2]


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize(("amount", "currency"), [(1, "CNY"), (123_456_789_012, "CNY"), (5000, "JPY"), (1234, "CHF")])
def test_amounts_are_the_same(cashier: Cashier, amount: int, currency: str) -> None:
    cashier.offer("fake_qr")
    page = cashier.open(amount=5000)
    Trade.objects.update(amount=amount, currency=currency)
    quickly_said, django = both_ways(f"/c/{page.token}", **{"user-agent": PHONE})
    assert quickly_said == django


@pytest.mark.usefixtures("still")
def test_what_was_tried_before_is_marked(cashier: Cashier) -> None:
    cashier.offer("fake_page", "fake_qr")
    page = cashier.open()
    first = quickly(f"/c/{page.token}", **{"user-agent": PC})
    cashier.pay(page, "fake_qr")
    quickly_said, django = both_ways(f"/c/{page.token}", **{"user-agent": PC})
    assert quickly_said == django
    assert b'value="fake_page" required checked' in first[2]
    assert b'value="fake_qr" required checked' in quickly_said[2]


@pytest.mark.usefixtures("still")
def test_the_status_is_the_same_to_the_end(cashier: Cashier, paid: Callable[[CashierOrder], None]) -> None:
    cashier.offer("fake_qr")
    page, other = cashier.open(), cashier.open()
    phases = []
    for act in (lambda: None, lambda: cashier.pay(page, "fake_qr"), lambda: paid(page)):
        act()
        quickly_said, django = both_ways(f"/c/{page.token}/status")
        assert quickly_said == django
        phases.append(quickly_said[2])
        again, django = both_ways(f"/c/{page.token}/status", **{"if-none-match": quickly_said[1]["ETag"]})
        assert again == django
        assert (again[0], again[2]) == ("304 Not Modified", b"")
    assert len(set(phases)) == 3
    trade_close(trade=other.trade, actor="test")
    quickly_said, django = both_ways(f"/c/{other.token}/status")
    assert quickly_said == django
    assert b'"closed"' in quickly_said[2]


def test_django_is_left_what_is_unusual(cashier: Cashier, paid: Callable[[CashierOrder], None]) -> None:
    cashier.offer("fake_qr", "fake_page")
    page = cashier.open()
    path = f"/c/{page.token}"
    assert not is_left(path)
    for unusual in (f"{path}?lang=en", f"{path}?", f"/c/{'x' * 43}", f"/c/{'x' * 43}/status", f"{path}/go", f"{path}/"):
        assert is_left(unusual) is (unusual != f"{path}?"), unusual
    assert is_left(path, "POST")
    assert is_left(path, "HEAD")
    assert is_left(path, **{"content-length": "5"})
    assert is_left(path, **{"transfer-encoding": "chunked"})
    assert is_left(path, cookie="django_language=en")
    assert is_left(path, host="elsewhere.example")
    assert is_left(path, host="")
    for token in ("", "a\0b", "é", "a b", "%00", "a" * 5000 + "!"):
        assert is_left(f"/c/{token}"), token
    cashier.pay(page, "fake_qr")
    assert not is_left(path)
    paid(page)
    assert is_left(path)


def test_who_goes_straight_to_the_only_channel_is_left_to_django(cashier: Cashier) -> None:
    cashier.offer("fake_page")
    page = cashier.open()
    assert is_left(f"/c/{page.token}")
    assert cashier.get(page).status_code == 303
    assert not is_left(f"/c/{page.token}")  # it was tried: now the page says so


def test_a_shared_code_is_left_to_django(cashier: Cashier) -> None:
    cashier.offer("fake_jsapi", "fake_ajsapi", "fake_qr")
    page = cashier.open()
    assert is_left(f"/c/{page.token}", **{"user-agent": PC})
    assert not is_left(f"/c/{page.token}", **{"user-agent": PHONE})


def test_what_a_merchant_stopped_is_not_offered(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_page")
    page = cashier.open()
    assert b"fake_qr" in quickly(f"/c/{page.token}")[2]
    PaymentAccount.objects.update(state="suspended")
    assert b"fake_qr" not in quickly(f"/c/{page.token}")[2]


def test_an_order_whose_time_is_over_is_left_to_django(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_page")
    page = cashier.open()
    factories.expire(page.trade)
    assert is_left(f"/c/{page.token}")


def test_a_fault_is_met_again_by_django_which_tells_somebody(cashier: Cashier, monkeypatch: pytest.MonkeyPatch) -> None:
    page = cashier.open()

    def fail(*_args: Any) -> Answer:
        raise ValueError("broken")

    routes = [type(route)(route.pattern, fail, (), route.example) for route in cashier_quick.ROUTES]
    status, _headers, body = _ask(QuickAnswers(get_wsgi_application(), routes), _environ(f"/c/{page.token}/status"))
    assert (status, b'"open"' in body) == ("200 OK", True)


def test_a_page_that_changes_meanwhile_is_nobody_elses_sheet(cashier: Cashier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows change between the reading of its key and the drawing of its sheet."""
    cashier.offer("fake_qr", "fake_page")
    rows = [{"label": f"l{n}", "value": f"row number {n}"} for n in range(3)]
    page, other = cashier.open(display=rows), cashier.open(display=rows)
    load = cashier_quick.page_to_choose_on

    def changed(token: str) -> CashierOrder | None:
        CashierOrder.objects.filter(token=token).update(display=rows[:2])
        return load(token)

    monkeypatch.setattr(cashier_quick, "page_to_choose_on", changed)
    assert is_left(f"/c/{page.token}")
    monkeypatch.setattr(cashier_quick, "page_to_choose_on", load)
    assert b"row number 2" in quickly(f"/c/{other.token}")[2]
    assert b"row number 2" not in quickly(f"/c/{page.token}")[2]


def test_with_traces_django_answers(cashier: Cashier, monkeypatch: pytest.MonkeyPatch) -> None:
    page = cashier.open()
    monkeypatch.setattr("paycenter.tracing._tracer", object())
    assert is_left(f"/c/{page.token}/status")


def test_quick_answers_are_counted_as_others(cashier: Cashier) -> None:
    page = cashier.open()
    counter = _REQUESTS.labels("c/<slug:token>/status", "2xx")
    before = counter._value.get()
    quickly(f"/c/{page.token}/status")
    Client().get(f"/c/{page.token}/status")
    assert counter._value.get() == before + 2


@pytest.mark.parametrize(
    ("name", "value"), [("SECURE_SSL_REDIRECT", True), ("SECURE_HSTS_SECONDS", 60), ("LOG_REQUESTS", True)]
)
def test_what_middleware_decides_by_request_is_left_to_it(
    cashier: Cashier, settings: Any, name: str, value: Any
) -> None:
    page = cashier.open()
    setattr(settings, name, value)
    assert is_left(f"/c/{page.token}/status")


def test_another_entrance_serves_no_payers(cashier: Cashier, settings: Any) -> None:
    page = cashier.open()
    settings.ROOT_URLCONF = "paycenter.urls.portal"
    assert is_left(f"/c/{page.token}/status")
