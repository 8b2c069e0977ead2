"""The policy of the payer's pages."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from cashier.headers import content_security_policy, form_sources, payer_page


def test_policy_is_strict() -> None:
    policy = content_security_policy()
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "form-action 'self';" in policy
    assert "base-uri 'none'; frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("action", "sources"),
    [
        ("https://openapi.alipay.com/gateway.do?charset=utf-8", ("https://openapi.alipay.com", "https://*.alipay.com")),
        ("https://gateway.95516.com/x", ("https://gateway.95516.com", "https://*.95516.com")),
        ("https://pay.bank.com.cn/x", ("https://pay.bank.com.cn", "https://*.bank.com.cn")),
        ("https://bank.com.cn/x", ("https://bank.com.cn", "https://*.bank.com.cn")),
        ("https://com.cn/x", ("https://com.cn",)),
        ("http://127.0.0.1:8001/gateway.do", ("http://127.0.0.1:8001",)),
        ("http://[::1]:8001/gateway.do", ("http://[::1]:8001",)),
        ("http://localhost:8001/x", ("http://localhost:8001",)),
        ("javascript:alert(1)", ()),
        ("/relative", ()),
    ],
)
def test_form_may_go_to_the_channel_and_its_siblings_only(action: str, sources: tuple[str, ...]) -> None:
    assert form_sources(action) == sources


def test_headers_are_added_and_a_view_may_set_its_own() -> None:
    request = RequestFactory().get("/")
    plain = payer_page(lambda request: HttpResponse())(request)
    assert plain.headers["Cache-Control"] == "no-store"
    assert plain.headers["Referrer-Policy"] == "same-origin"
    own = payer_page(lambda request: HttpResponse(headers={"Referrer-Policy": "strict-origin"}))(request)
    assert own.headers["Referrer-Policy"] == "strict-origin"
