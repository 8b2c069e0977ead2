"""The page on which a payer agrees to deductions without password, or turns back."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from aiohttp import web

from sandbox.agreements import Agreement, AgreementState
from sandbox.book import NotPossible
from sandbox.context import Context
from sandbox.wallet.layout import button, page, rows
from sandbox.wallet.pages import html_response
from sandbox.wallet.texts import ZH, language_of, text


class AgreementPages:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Sequence[web.RouteDef]:
        path = "/wallet/contracts/{channel}/{code}"
        return [web.get(path, self.show), web.post(path, self.act)]

    async def show(self, request: web.Request) -> web.Response:
        return self._page(self._agreement(request), language_of(request))

    async def act(self, request: web.Request) -> web.Response:
        """Sign or cancel, then back to the merchant where it said so."""
        agreement, language = self._agreement(request), language_of(request)
        signing = (await request.post()).get("action") == "sign"
        book = self.context.agreements
        try:
            agreement = book.sign(agreement) if signing else book.cancel(agreement)
        except NotPossible:
            return self._page(agreement, language, status=409)
        if agreement.return_url:
            raise web.HTTPSeeOther(agreement.return_url)
        return self._page(agreement, language)

    def _agreement(self, request: web.Request) -> Agreement:
        found = self.context.agreements.find_code(request.match_info["channel"], request.match_info["code"])
        if found is None:
            raise web.HTTPNotFound
        return found

    def _page(self, agreement: Agreement, language: str, status: int = 200) -> web.Response:
        account = self.context.store.account(agreement.channel, agreement.account)
        details = rows([
            (text("merchant", language), account.name if account else ""),
            (text("contract_no", language), agreement.contract_no),
        ])  # fmt: skip
        lead = text(f"contract_{agreement.state}", language)
        form = ""
        if agreement.state is AgreementState.OPENED:
            sign = button("sign", text("sign", language), primary=True)
            cancel = button("cancel", text("cancel", language))
            form = f'<form method="post" action="?lang={language}">{sign}{cancel}</form>'
        body = f'<section class="card"><p class="lead" role="status">{escape(lead)}</p>{details}{form}</section>'
        names = self.context.channels[agreement.channel].names
        path = f"/wallet/contracts/{agreement.channel}/{agreement.code}"
        name = names[0] if language == ZH else names[1]
        return html_response(page(name, body, language=language, path=path, channel=agreement.channel), status)
