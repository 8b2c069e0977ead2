"""Whole requests at the three entrances: calls, payers and channels, staff's lists and forms; each is undone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import pytest
from django.contrib import admin
from django.db import transaction
from django.test import Client
from django.urls import NoReverseMatch, reverse

from cashier.models import PrintedCode
from cashier.services import cashier_order_create
from merchants.api import authentication
from merchants.api.errors import (
    AddressNotAllowed,
    BadParameter,
    BodyTooLarge,
    NotAuthenticated,
    NotJson,
    TimestampOutside,
    UnknownPath,
    WrongVerb,
)
from tests import factories
from tests.fakes import fakepay
from tests.fakes.admin_pages import addresses
from tests.fakes.declared import assert_as_declared
from tests.fakes.pages import post_forms
from tests.fakes.signing import sign_headers
from tests.fakes.staff import make_staff, signed_in
from tests.fuzz.believing import believing
from tests.fuzz.oracle import Broken
from tests.fuzz.product_targets import STATEMENT, endpoints
from tests.fuzz.target import Target
from tests.fuzz.wire import pack, unpack
from trades.services import trade_pay

# What browsers and proxies say of themselves.
_SAID = {
    "cookie": 'sessionid=abcdefghijklmnop; csrftoken=x; cashier_browser="a"; cashier_payer=W:1:x',
    "accept-language": "zh-CN,en;q=0.5", "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https",
    "range": "bytes=0-5", "if-none-match": '"abc"', "x-request-id": "1", "referer": "http://testserver/c/x",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}  # fmt: skip
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,60}")
BOUNDARY = "BOUND"
_OWN = {"logout", "jsi18n", "set_language", "password_change", "password_change_done", "security_recovery",
        "security_remove", "security_end_session", "security_end_others", "security_enrol"}  # fmt: skip
_FORM = {"content-type": "application/x-www-form-urlencoded", "user-agent": "Mozilla/5.0 (X11; Linux x86_64)"}
# Everything that may be said to a call before it is known who made it; health's answers have no number at all.
_BEFORE_SIGNATURE = ("no call", "None", *(
    str(error.errno)
    for error in (NotAuthenticated, AddressNotAllowed, TimestampOutside, NotJson, BodyTooLarge, UnknownPath, WrongVerb)
))  # fmt: skip
_OURS = {502, 503, 504}  # answers of the contract: the channel refused, is shed, or is silent


@dataclass
class Site:
    """One merchant, app, paid trade, cashier page and printed code, in a transaction that is never committed."""

    client: Client
    staff: Client
    app_id: str
    known: dict[str, Any]
    pages: list[str]
    numbers: list[str]  # made anew for every site: what an input of another one has in their place

    def send(self, client: Client, data: bytes) -> Any:
        """As a server would hand it over: what is no HTTP is left out, the rest is taken literally."""
        first, headers, body = unpack(data)
        method, _space, target = first.partition(" ")
        path, _mark, query = target.partition("?")
        if not re.fullmatch("[A-Z]{1,10}", method) or not path.startswith("/"):
            return None
        if client is self.staff:
            headers.pop("cookie", None)  # or nobody would be signed in
        kept = {n: v for n, v in headers.items() if _TOKEN.fullmatch(n) and not re.search(r"[\x00\r\n]", v)}
        meta = {"PATH_INFO": unquote_to_bytes(path).decode("latin-1"), "QUERY_STRING": query, "REQUEST_URI": target}
        cookies = deepcopy(client.cookies)  # or whoever was signed out once would stay so
        with _outermost():
            answer = client.generic(
                method, "/", body, kept.pop("content-type", ""), headers=_named(kept), **meta,  # type: ignore[arg-type]
            )  # fmt: skip
            content = b"".join(answer.streaming_content) if answer.streaming else answer.content
            transaction.set_rollback(True)
        client.cookies = cookies
        if answer.status_code >= 500 and not (answer.status_code in _OURS and path.startswith("/v1/")):
            raise Broken(f"{answer.status_code} for {method} {path[:80]}: {content[:200]!r}")
        return answer


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {n: v for n, v in headers.items() if n not in ("content-length", "transfer-encoding")}


def _outermost() -> transaction.Atomic:
    """A transaction that what insists on being in none does not see, as those around tests."""
    made = transaction.atomic()
    made._from_testcase = True
    return made


@contextmanager
def site() -> Iterator[Site]:
    """Call it where there is a database; everything in it is gone afterwards."""
    with pytest.MonkeyPatch.context() as patch, _outermost():
        fakepay.install(patch)
        patch.setattr(authentication, "WINDOW", 10**9)
        merchant = factories.make_merchant()
        app = factories.make_app(merchant, notify_url="http://127.0.0.1:9/told", requests_per_second=100_000)
        account = factories.make_account(merchant)
        factories.make_cashier_methods(app, account)
        attempt = trade_pay(app=app, order=factories.make_order(merchant), method="fake_qr")
        page = cashier_order_create(app=app, order=factories.make_order(merchant), display=[])
        code = PrintedCode.objects.create(app=app, merchant=merchant, title="House 3")
        known = {
            "merchant_no": merchant.merchant_no, "method": "fake_qr", "payment_no": account.payment_no,
            "trade_no": attempt.trade.trade_no, "app_order_no": attempt.trade.app_order_no,
        }  # fmt: skip
        addresses = [
            *(f"/c/{page.token}{below}" for below in ("", "/status", "/pay", "/go", "/auth/fakepay")),
            f"/q/{code.code}", "/c/theme/1f6feb.css", "/healthz", "/readyz",
            f"/notify/fake_qr/{attempt.attempt_no}", f"/return/fake_qr/{attempt.attempt_no}",
        ]  # fmt: skip
        staff = signed_in(make_staff("operator", username="fuzz", is_superuser=True))
        try:
            numbers = [app.app_id, *known.values(), attempt.attempt_no, page.token, code.code]
            yield Site(Client(), staff, app.app_id, known, addresses, numbers)
        finally:
            transaction.set_rollback(True)


NAMES = ("web-api", "web-signed", "web-payer", "web-staff", "web-forms")


def web_targets(made: Site) -> dict[str, Callable[[], Target]]:
    """What makes each target, by its name."""
    return {
        "web-api": lambda: Target("web-api", tuple(_calls(made)), lambda data: _call(made, data), believing),
        "web-signed": lambda: _signed(made),
        "web-payer": lambda: Target("web-payer", tuple(_visits(made)), lambda data: _visit(made, made.client, data)),
        "web-staff": lambda: Target("web-staff", tuple(_lists(made)), lambda data: _visit(made, made.staff, data)),
        "web-forms": lambda: Target("web-forms", tuple(_forms(made)), lambda data: _visit(made, made.staff, data)),
    }


def moved(data: bytes, numbers: list[str], made: Site) -> bytes:
    """An input of a site with these numbers, as the same request to this one."""
    for theirs, ours in zip(numbers, made.numbers, strict=True):
        data = data.replace(theirs.encode(), ours.encode())
    return data


# ---- calls ---------------------------------------------------------------------------------------
def _calls(made: Site) -> Iterator[bytes]:
    for view in endpoints():
        path = _path_of(view)
        body = json.dumps({**view.example, **{k: v for k, v in made.known.items() if k in view.example}}).encode()
        headers = sign_headers("POST", path, body, made.app_id, factories.HMAC_SECRET)
        yield pack(f"POST {path}", {**headers, "content-type": "application/json"}, body)


def _path_of(view: Any) -> str:
    from paycenter.urls import parts

    return next(f"/{p.pattern}" for p in parts.api if getattr(p.callback, "view_class", None) is view)


def _call(made: Site, data: bytes) -> str:
    answer = made.send(made.client, data)
    if answer is None or not answer.get("content-type", "").startswith("application/json"):
        return "no call"
    found = json.loads(answer.content)
    if set(found) - {"status", "database", "broker"} and set(found) != {"errno", "msg", "data"}:
        raise Broken(f"no envelope: {sorted(found)}")
    errno = found.get("errno")
    if errno == BadParameter.errno and not found["data"].get("errors"):
        raise Broken(f"bad input that names no field: {found}")
    if errno == 0:
        path = unpack(data)[0].partition(" ")[2].partition("?")[0]
        view = next((v for v in endpoints() if _path_of(v) == path), None)
        if view is not None:
            assert_as_declared(view, found["data"])
    return f"understood {errno}" if errno == 0 else f"refused {errno}"


def _signed(made: Site) -> Target:
    """The same calls with nobody believing them: what passes has to be what the app signed."""
    seeds = tuple(_calls(made))
    genuine = {_signed_parts(seed) for seed in seeds}

    def run(data: bytes) -> str:
        outcome = _call(made, data)
        if not outcome.endswith(_BEFORE_SIGNATURE) and _signed_parts(data) not in genuine:
            raise Broken(f"believed, though the app did not sign it: {outcome}")
        return outcome

    return Target("web-signed", seeds, run)


def _signed_parts(data: bytes) -> tuple[str, ...]:
    first, headers, body = unpack(data)
    names = ("x-app-id", "x-timestamp", "x-nonce", "x-sign-type")
    return (first, *(headers.get(name, "") for name in names), body.decode("latin-1"))


# ---- pages ---------------------------------------------------------------------------------------
def _visits(made: Site) -> Iterator[bytes]:
    for path in made.pages:
        yield pack(f"GET {path}?lang=en&state=x&code=1&resultIndicator=1&notice=unavailable", _FORM, b"")
        yield pack(f"GET {path}", {**_FORM, **_SAID}, b"")
        yield pack(f"POST {path}", _FORM, b"method=fake_qr&amount=12.50&order=x&sign=AAAA&out_trade_no=1")


def _visit(made: Site, client: Client, data: bytes) -> str:
    answer = made.send(client, data)
    if answer is None:
        return "no request"
    if answer.status_code == 302 and answer["location"].startswith("/admin/login/") and client is made.staff:
        return "signed out"
    return f"{'understood' if answer.status_code < 400 else 'refused'} {answer.status_code}"


def _lists(made: Site) -> Iterator[bytes]:
    """Each list with one of the addresses its own filters, columns and pages lead to."""
    for model in admin.site._registry:
        try:
            path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        except NoReverseMatch:
            continue
        shown = made.staff.get(path, {"q": "1"})
        content = shown.content.decode() if not shown.streaming and shown.status_code == 200 else ""
        inside = {unescape(q) for q in re.findall(r'href="(?:[^"?]*)\?([^"#]+)"', content)}
        names = {name for name in re.findall(r'name="([a-z_]+)"', content) if not name.startswith(("csrf", "select"))}
        query = "&".join(sorted({*inside, *(f"{name}=2026-11-20" for name in names)}))[:2000]
        yield pack(f"GET {urlsplit(path).path}?{query or 'q=1&o=1&p=0'}", {}, b"")
        yield pack(f"GET {path}?q=1", {}, b"")


def _forms(made: Site) -> Iterator[bytes]:
    """Each form of each page of the admin as a browser would post it, with a file where one can be chosen."""
    records = {model: list(model._default_manager.all()[:1]) for model in admin.site._registry}
    words = {f"{model._meta.model_name}_pk": rows[0].pk for model, rows in records.items() if rows}
    for path in sorted(set(addresses(records, words, without=_OWN))):
        shown = made.staff.get(path)
        if shown.status_code != 200 or shown.streaming or "text/html" not in shown["content-type"]:
            continue
        content = shown.content.decode()
        files = re.findall(r'<input type="file" name="([a-z_]+)"', content)
        for form in post_forms(content):
            target = urljoin(path, form.action)
            if target.startswith("/admin/") and not any(word in target for word in ("logout", "language")):
                values = [(name, value) for name, several in form.values.items() for value in several]
                yield pack(f"POST {target}", {"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
                           multipart([*values, *form.buttons], files))  # fmt: skip


def multipart(values: list[tuple[str, str]], files: list[str]) -> bytes:
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in values]
    about = b'name="%b"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\n%b'
    parts += [about % (name.encode(), STATEMENT) for name in files]
    head = b"--%b\r\nContent-Disposition: form-data; " % BOUNDARY.encode()
    return b"".join(head + part + b"\r\n" for part in parts) + b"--%b--\r\n" % BOUNDARY.encode()
