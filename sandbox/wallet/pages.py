"""`/wallet`: the desk, and the page on which a person pays or cancels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from aiohttp import web

from sandbox.amounts import display
from sandbox.book import NotPossible
from sandbox.channel import Channel, DeviceRefused
from sandbox.clock import wall_clock
from sandbox.context import Context
from sandbox.records import Payment, PaymentState
from sandbox.wallet.layout import badge, button, page, rows
from sandbox.wallet.texts import ZH, language_of, text


class Wallet:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/", self.home),
            web.get("/wallet", self.desk),
            web.post("/wallet/open", self.open),
            web.get("/wallet/{channel}/{code}", self.show),
            web.post("/wallet/{channel}/{code}", self.act),
        ]

    async def home(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/wallet")

    # -- the desk

    async def desk(self, request: web.Request) -> web.Response:
        return self._desk(language_of(request))

    def _desk(self, language: str, complaint: str = "", status: int = 200) -> web.Response:
        def t(name: str) -> str:
            return escape(text(name, language))

        alert = f'<p role="alert"><strong>{escape(complaint)}</strong></p>' if complaint else ""
        items = "".join(self._waiting_item(p, language) for p in self.context.book.waiting())
        waiting = f"<ul>{items}</ul>" if items else f'<p class="lead">{t("none_waiting")}</p>'
        body = (
            f'<section class="card"><p>{t("desk_hint")}</p>{alert}'
            f'<form method="post" action="/wallet/open?lang={language}"><label for="code">{t("code")}</label>'
            '<textarea id="code" name="code" required autofocus></textarea>'
            f'<button class="primary">{t("open")}</button></form></section>'
            f'<section class="card"><h2>{t("waiting")}</h2>{waiting}'
            f'<a class="button" href="/wallet?lang={language}">{t("refresh")}</a></section>'
        )
        return html_response(page(text("desk", language), body, language=language, path="/wallet"), status)

    def _waiting_item(self, payment: Payment, language: str) -> str:
        channel = self.context.channel_of(payment)
        return (
            f'<li><a href="/wallet/{payment.channel}/{payment.code}?lang={language}"><span>'
            f"{badge(payment.channel, _name(channel, language))}{escape(payment.subject)}"
            f"<small>{escape(payment.order_no)} · {wall_clock(payment.created_at)}</small></span>"
            f"<strong>{escape(_money(payment))}</strong></a></li>"
        )

    async def open(self, request: web.Request) -> web.Response:
        """Something scanned or pasted: code, link, order string, SDK parameters, or a `pay` object."""
        language = language_of(request)
        pasted = str((await request.post()).get("code", "")).strip()
        try:
            payment = self._opened(pasted)
        except DeviceRefused as refused:
            return self._desk(language, f"{text('refused', language)}: {refused}", 400)
        except NotPossible:
            return self._desk(language, text("expired", language), 409)
        if payment is None:
            return self._desk(language, text("unknown_code", language), 404)
        raise web.HTTPSeeOther(f"/wallet/{payment.channel}/{payment.code}?lang={language}")

    def _opened(self, pasted: str) -> Payment | None:
        pay = _pay_object(pasted)
        for channel in self.context.channels.values():
            found = channel.present(pay) if pay is not None else channel.open_code(pasted)
            if found is not None:
                return found
        return None

    # -- paying

    async def show(self, request: web.Request) -> web.Response:
        payment = self._payment(request)
        return self._page(payment, language_of(request))

    async def act(self, request: web.Request) -> web.Response:
        payment, language = self._payment(request), language_of(request)
        action = (await request.post()).get("action")
        channel = self.context.channel_of(payment)
        try:
            if action == "pay":
                payment = self._pay(payment, channel)
                return self._leave(payment, language, paid=True)
            if action == "scan":
                payment = self.context.book.scan(payment)
                return self._page(payment, language, notice=text("scanned", language))
        except NotPossible:
            return self._page(self.context.book.payment(payment.id), language, status=409)
        return self._leave(payment, language, paid=False)

    def _pay(self, payment: Payment, channel: Channel) -> Payment:
        with self.context.store.together():
            paid = self.context.book.pay(self.context.book.scan(payment), payer=channel.payer(payment))
            if paid.notify_url:
                self.context.notifier.owe(paid)
        return paid

    def _payment(self, request: web.Request) -> Payment:
        channel, code = request.match_info["channel"], request.match_info["code"]
        found = self.context.book.find_code(channel, code) if channel in self.context.channels else None
        if found is None:
            raise web.HTTPNotFound
        return found

    def _leave(self, payment: Payment, language: str, *, paid: bool) -> web.Response:
        """Back to the merchant where it said so, else a last page here."""
        back = self.context.channel_of(payment).back_url(payment, paid=paid)
        if back:
            raise web.HTTPSeeOther(back)
        if paid:
            return self._page(payment, language)
        body = (
            f'<section class="card"><p class="lead"><strong>{escape(text("cancelled", language))}</strong></p>'
            f'<p class="lead">{escape(text("cancelled_hint", language))}</p></section>{_back_link(language)}'
        )
        return self._framed(payment, body, language)

    def _page(self, payment: Payment, language: str, *, notice: str = "", status: int = 200) -> web.Response:
        if payment.state is PaymentState.PAID:
            return self._framed(payment, _paid_body(payment, language), language, status)
        state = self._blocked(payment)
        if state:
            words = escape(text(state, language))
            body = f'<section class="card"><p class="lead"><strong>{words}</strong></p></section>'
            return self._framed(payment, body + _back_link(language), language, status)
        scan = button("scan", text("scan", language)) if payment.state is PaymentState.UNSCANNED else ""
        hint = f'<p class="lead" role="status">{escape(notice)}</p>' if notice else ""
        body = (
            f'<section class="card">{hint}<p class="lead">{escape(text("merchant", language))} '
            f"{escape(self._merchant(payment))}</p>{_amount(payment)}{_details(payment, language)}"
            f'<form method="post" action="?lang={language}">{button("pay", text("pay", language), primary=True)}'
            f"{scan}{button('cancel', text('cancel', language))}</form></section>"
        )
        return self._framed(payment, body, language, status)

    def _blocked(self, payment: Payment) -> str:
        if payment.state is PaymentState.CLOSED:
            return "closed"
        now = self.context.clock()
        return "expired" if now >= payment.expires_at or now >= payment.code_expires_at else ""

    def _merchant(self, payment: Payment) -> str:
        return self.context.store.account_of(payment).name

    def _framed(self, payment: Payment, body: str, language: str, status: int = 200) -> web.Response:
        name = _name(self.context.channel_of(payment), language)
        path = f"/wallet/{payment.channel}/{payment.code}"
        return html_response(page(name, body, language=language, path=path, channel=payment.channel), status)


def _pay_object(pasted: str) -> dict[str, Any] | None:
    """A JSON object as `pay`; bare SDK parameters are wrapped into one."""
    try:
        data = json.loads(pasted)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    return data if isinstance(data.get("type"), str) else {"type": "sdk", "params": data}


def _paid_body(payment: Payment, language: str) -> str:
    pairs = [
        (text("subject", language), payment.subject), (text("order_no", language), payment.order_no),
        (text("trade_no", language), payment.trade_no),
        (text("paid_at", language), wall_clock(payment.paid_at) if payment.paid_at else ""),
    ]  # fmt: skip
    return (
        f'<section class="card"><p class="mark" aria-hidden="true">✓</p><p class="lead" role="status">'
        f"<strong>{escape(text('paid', language))}</strong></p>{_amount(payment)}{rows(pairs)}</section>"
        f"{_back_link(language)}"
    )


def _details(payment: Payment, language: str) -> str:
    return rows([
        (text("subject", language), payment.subject), (text("order_no", language), payment.order_no),
        (text("expires", language), wall_clock(min(payment.expires_at, payment.code_expires_at))),
    ])  # fmt: skip


def _amount(payment: Payment) -> str:
    symbol, number = display(payment.total, payment.currency)
    return f'<p class="amount"><small>{escape(symbol)}</small>{escape(number)}</p>'


def _money(payment: Payment) -> str:
    return "".join(display(payment.total, payment.currency))


def _name(channel: Channel, language: str) -> str:
    return channel.names[0] if language == ZH else channel.names[1]


def _back_link(language: str) -> str:
    return f'<a class="button" href="/wallet?lang={language}">{escape(text("back", language))}</a>'


def html_response(content: str, status: int = 200) -> web.Response:
    """A page without scripts that nothing may keep."""
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
    }  # fmt: skip
    return web.Response(text=content, content_type="text/html", status=status, headers=headers)
