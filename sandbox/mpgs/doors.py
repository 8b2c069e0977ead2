"""The two doors: the proxy's `/payments`, and MPGS' own REST-JSON. Behind both is the same book."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from sandbox.channel import BillFile
from sandbox.context import Context, base_url
from sandbox.faults import Call, Signature, serve
from sandbox.mpgs import access, orders, refunds, statements
from sandbox.mpgs.contract import PROXY
from sandbox.mpgs.wire import Data, Problem, Reply, invalid, read_json, render
from sandbox.records import Account

Act = Callable[[web.Request, bytes], Reply]
_REST = "/api/rest/version/{version}/merchant/{merchant}"
_NUMBER = "{order_no:[^/]+}"
_IDEMPOTENCY = "mpgs_idempotency"
_REMEMBERED_SECONDS = 86400


class Doors:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Sequence[web.RouteDef]:
        order, refund = f"{_REST}/order/{_NUMBER}", "/transaction/{refund_no:[^/]+}"
        return [
            web.post(f"{PROXY}/oauth2/token", self._door("token", lambda r, b: access.issue_token(self.context, r, b))),
            web.post(f"{PROXY}/payments", self._door("pay", self._open)),
            web.get(f"{PROXY}/payments/{_NUMBER}", self._door("query", self._query)),
            web.put(f"{PROXY}/payments/{_NUMBER}/refunds/{{refund_no:[^/]+}}", self._door("refund", self._refund)),
            web.get(f"{PROXY}/payments/{_NUMBER}/refunds/{{refund_no:[^/]+}}",
                    self._door("query_refund", self._refund_state)),
            web.get(f"{PROXY}/reports/transactions", self._report),
            web.get("/api/rest/version/{version}/information", self._information),
            web.post(f"{_REST}/session", self._door("pay", self._session)),
            web.get(order, self._door("query", self._query)),
            web.put(order + refund, self._door("refund", self._refund)),
            web.get(order + refund, self._door("query_refund", self._refund_state)),
            web.delete("/control/mpgs/tokens", self._revoke),
        ]  # fmt: skip

    def _door(self, operation: str, act: Act) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            call = Call(channel="mpgs", operation=operation, order_no=_order_no(request, body),
                        refund_no=request.match_info.get("refund_no", ""))  # fmt: skip
            return await serve(self.context, request, call, lambda: _said(act, request, body), render)

        return handle

    def _caller(self, request: web.Request) -> Account:
        direct = "merchant" in request.match_info
        return (access.by_password if direct else access.by_token)(self.context, request)

    # -- the proxy

    def _open(self, request: web.Request, body: bytes) -> Reply:
        account = self._caller(request)

        def once() -> dict[str, Any]:
            data = read_json(request, body)
            made = orders.open_session(self.context, account, data, version=None)
            page = f"{base_url(request)}/checkout/pay/{made['session']['id']}"
            return {"id": data["order"]["id"], "status": "INITIATED", "checkout_url": page, **made}

        return self._idempotent(account, request, body, once)

    def _idempotent(
        self, account: Account, request: web.Request, body: bytes, act: Callable[[], dict[str, Any]]
    ) -> Reply:
        """The same key again gets the first answer, and nothing is done; with another request it is refused."""
        key = request.headers.get("Idempotency-Key", "")
        if not 0 < len(key) <= 64 or not key.isprintable():
            raise invalid("Idempotency-Key is missing or too long")
        name = f"mpgs:{account.key}:{request.path}:{key}"
        digest, known = hashlib.sha256(body).hexdigest(), self.context.store.token(name, _IDEMPOTENCY)
        if known is not None:
            if known[0]["request"] != digest:
                raise invalid("Idempotency-Key was used for another request", status=409)
            return Reply(200, known[0]["answer"])
        with self.context.store.together():
            answer = act()
            data = {"request": digest, "answer": answer}
            self.context.store.add_token(name, _IDEMPOTENCY, data, self.context.clock() + _REMEMBERED_SECONDS)
        return Reply(201, answer)

    def _query(self, request: web.Request, body: bytes) -> Reply:
        payment = orders.known_order(self.context, self._caller(request), request.match_info["order_no"])
        return Reply(200, orders.retrieved(self.context, payment))

    def _refund(self, request: web.Request, body: bytes) -> Reply:
        account, info, data = self._caller(request), request.match_info, read_json(request, body)
        if "merchant" in info and "apiOperation" not in data:
            raise invalid("Missing parameter", "apiOperation", "MISSING")
        return Reply(200, refunds.take(self.context, account, info["order_no"], info["refund_no"], data))

    def _refund_state(self, request: web.Request, body: bytes) -> Reply:
        info = request.match_info
        return Reply(200, refunds.look(self.context, self._caller(request), info["order_no"], info["refund_no"]))

    async def _report(self, request: web.Request) -> web.StreamResponse:
        def act() -> Reply | BillFile:
            try:
                return statements.download(self.context, self._caller(request), request.query.get("date", ""))
            except Problem as problem:
                return Reply(problem.status, problem.body, problem.headers)

        def shown(made: Reply | BillFile, signature: Signature) -> web.StreamResponse:
            if isinstance(made, Reply):
                return render(made, signature)
            return web.Response(body=made.content, content_type=made.content_type, charset="utf-8")

        return await serve(self.context, request, Call(channel="mpgs", operation="bill"), act, shown)

    # -- MPGS itself

    def _session(self, request: web.Request, body: bytes) -> Reply:
        account = self._caller(request)
        version = int(request.match_info["version"])
        return Reply(201, orders.open_session(self.context, account, read_json(request, body), version=version))

    async def _information(self, request: web.Request) -> web.Response:
        """Open to everybody."""
        version = request.match_info["version"]
        if not version.isdigit() or int(version) not in access.VERSIONS:
            problem = invalid(f"Unsupported value for 'version = {version}'", status=404)
            return web.json_response(problem.body, status=problem.status)
        return web.json_response({"gatewayVersion": "26.1.0.0-1R", "status": "OPERATING"})

    async def _revoke(self, _request: web.Request) -> web.Response:
        return web.json_response({"revoked": access.revoke_tokens(self.context)})


def _said(act: Act, request: web.Request, body: bytes) -> Reply:
    try:
        return act(request, body)
    except Problem as problem:
        return Reply(problem.status, problem.body, problem.headers)


def _order_no(request: web.Request, body: bytes) -> str:
    """The number a request is about, to be counted under it, however wrong the rest may be."""
    if "order_no" in request.match_info:
        return request.match_info["order_no"]
    try:
        data: Data = json.loads(body)
        found = data["order"]["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""
