"""The hosted payment page: what a payer does there, and with what the browser comes back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode

from aiohttp import web

from sandbox.amounts import display
from sandbox.book import NotPossible
from sandbox.context import Context
from sandbox.mpgs.notices import DECLINED, NOT_AUTHENTICATED
from sandbox.records import Payment, PaymentState
from sandbox.wallet.layout import button, page, rows
from sandbox.wallet.texts import ZH, language_of, text

PATH = "/checkout/pay/"
_OWN_TEXTS: Mapping[str, tuple[str, str]] = {
    "title": ("国际卡付款", "Card payment"),
    "pay": ("付款", "Pay"),
    "pay_and_stay": ("付款，然后关闭浏览器（不返回商户）", "Pay, then close the browser (no return)"),
    "pay_wrong": ("付款，但带错误的结果标识返回", "Pay, but return with a wrong indicator"),
    "pay_bare": ("付款，但不带结果标识返回", "Pay, but return without an indicator"),
    "decline": ("发卡行拒绝", "Be declined by the card's bank"),
    "fail_3ds": ("3-D Secure 验证失败", "Fail 3-D Secure"),
    "give_up": ("付款失败后返回商户", "Return after a failure"),
    "abandon": ("放弃", "Abandon"),
    "declined": ("付款未成功，可以再试一次。", "The payment failed. It can be tried again."),
    "gone": ("付款会话不存在或已过期。", "The payment session does not exist or has expired."),
}
_FAILURES = {
    "decline": ("FAILED", "AUTHENTICATION_SUCCESSFUL", DECLINED),
    "fail_3ds": ("AUTHENTICATION_UNSUCCESSFUL", "AUTHENTICATION_UNSUCCESSFUL", NOT_AUTHENTICATED),
}
_PAYING = ("pay", "pay_and_stay", "pay_wrong", "pay_bare")


class Page:
    def __init__(self, context: Context) -> None:
        self.context = context

    async def show(self, request: web.Request) -> web.Response:
        payment = self._payment(request)
        return self._page(request, payment) if payment else _gone(request)

    async def act(self, request: web.Request) -> web.Response:
        payment, action = self._payment(request), str((await request.post()).get("action", ""))
        if payment is None or action not in (*_PAYING, *_FAILURES, "give_up", "abandon"):
            return _gone(request)
        if action == "abandon":
            return _leave(self._page(request, payment), str(payment.extra.get("cancel_url") or ""))
        if action == "give_up":
            return _leave(self._page(request, payment), returning(payment, "wrong"))
        try:
            if action in _FAILURES:
                return self._page(request, self._fail(payment, action), notice=_own("declined", language_of(request)))
            payment = self._pay(payment)
        except NotPossible:
            return self._page(request, self.context.book.payment(payment.id), status=409)
        kind = {"pay_wrong": "wrong", "pay_bare": "missing"}.get(action, "right")
        return _leave(self._page(request, payment), "" if action == "pay_and_stay" else returning(payment, kind))

    def _pay(self, payment: Payment) -> Payment:
        with self.context.store.together():
            authenticated = self._step(payment, "AUTHENTICATED", "AUTHENTICATION_SUCCESSFUL")
            paid = self.context.book.pay(authenticated, payer="")
            if paid.notify_url:
                self.context.notifier.owe(paid)
        return paid

    def _fail(self, payment: Payment, action: str) -> Payment:
        status, authentication, topic = _FAILURES[action]
        with self.context.store.together():
            failed = self._step(payment, status, authentication)
            if failed.notify_url:
                self.context.notifier.owe(failed, changes={"topic": topic})
        return failed

    def _step(self, payment: Payment, status: str, authentication: str) -> Payment:
        """The order begins to exist here. Raises NotPossible once it is paid or its session has ended."""
        begun = self.context.book.scan(payment)
        if begun.state is not PaymentState.UNPAID:
            raise NotPossible(f"the order is {begun.state}")
        return self.context.book.change(
            begun, extra={**begun.extra, "status": status, "authentication": authentication}
        )

    def _payment(self, request: web.Request) -> Payment | None:
        return self.context.book.find_code("mpgs", request.match_info["session"])

    def _page(self, request: web.Request, payment: Payment, *, notice: str = "", status: int = 200) -> web.Response:
        language = language_of(request)
        sign, number = display(payment.total, payment.currency)
        amount = f'<p class="amount"><small>{escape(sign)}</small>{escape(number)}</p>'
        facts = rows([(text("subject", language), payment.subject), (text("order_no", language), payment.order_no)])
        hint = f'<p class="lead" role="status">{escape(notice)}</p>' if notice else ""
        if payment.state is PaymentState.PAID:
            lead = f'<p class="mark" aria-hidden="true">✓</p><p class="lead">{text("paid", language)}</p>'
            return _html(request, f'<section class="card">{lead}{amount}{facts}</section>', status)
        if payment.state is PaymentState.CLOSED or self.context.clock() >= payment.expires_at:
            return _gone(request)
        merchant = escape(self.context.store.account_of(payment).config["merchant_name"])
        actions = (*_PAYING, *_FAILURES, *(("give_up",) if notice else ()), "abandon")
        buttons = "".join(button(a, _own(a, language), primary=a == "pay") for a in actions)
        return _html(
            request, f'<section class="card">{hint}<p class="lead">{merchant}</p>{amount}{facts}'
            f'<form method="post">{buttons}</form></section>', status,
        )  # fmt: skip


def returning(payment: Payment, kind: str = "right") -> str:
    """Where the browser goes: `right`, `wrong` (as after a failure) or `missing` names its indicator."""
    if not payment.return_url:
        return ""
    indicator = {"right": str(payment.extra["indicator"]), "wrong": secrets.token_hex(8)}.get(kind)
    fields = {"resultIndicator": indicator, "sessionVersion": str(payment.extra["version"])} if indicator else {}
    mark = "&" if "?" in payment.return_url else "?"
    return payment.return_url + (mark + urlencode(fields) if fields else "")


def _leave(stay: web.Response, address: str) -> web.Response:
    """On to the merchant, or the page as it is where there is no way back."""
    if address:
        raise web.HTTPSeeOther(address)
    return stay


def _gone(request: web.Request) -> web.Response:
    words = escape(_own("gone", language_of(request)))
    return _html(request, f'<section class="card"><p class="lead">{words}</p></section>', 404)


def _own(name: str, language: str) -> str:
    zh, en = _OWN_TEXTS[name]
    return zh if language == ZH else en


def _html(request: web.Request, body: str, status: int) -> web.Response:
    language = language_of(request)
    content = page(_own("title", language), body, language=language, path=request.path, channel="mpgs")
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
    }  # fmt: skip
    return web.Response(text=content, content_type="text/html", status=status, headers=headers)
