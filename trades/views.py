"""`/notify/…` and `/return/…` of the public entrance."""

from __future__ import annotations

import time
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from structlog.contextvars import bind_contextvars

from channels.base import InboundRequest, Reply
from channels.base.discovery import provider_for
from paycenter import exchange
from paycenter.errors import InboundRefused
from trades.answering import Answering
from trades.contracts.inbound import contract_for_address, contract_notify_receive, query_now
from trades.inbound import notify_receive, return_receive
from trades.locking import find_attempt, find_notified
from trades.models import Attempt

MAX_NOTIFY_BYTES = 1024 * 1024


@csrf_exempt
@require_http_methods(["POST", "GET"])
def notify(request: HttpRequest, method: str, attempt_no: str) -> HttpResponse:
    """A channel's notification about one attempt."""
    attempt = find_notified(attempt_no, method)
    if attempt is None:
        return HttpResponse("unknown address", status=404, content_type="text/plain")
    inbound = inbound_request(request)
    if inbound is None:
        return HttpResponse("too large", status=413, content_type="text/plain")
    bind_contextvars(trade_no=attempt.trade.trade_no, attempt_no=attempt.attempt_no)
    answering = Answering("notify", attempt, request, inbound)
    reply = notify_receive(attempt=attempt, request=inbound, answering=answering)
    answering.finish(reply)
    return HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)


@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def payer_return(request: HttpRequest, method: str, attempt_no: str) -> HttpResponse:
    """The payer's browser comes back from the channel; on to the cashier or the app."""
    attempt = find_attempt(attempt_no, method)
    inbound = inbound_request(request)
    if attempt is None or inbound is None:
        return render(request, "trades/return.html", {"problem": True}, status=404)
    answering = Answering("return", attempt, request, inbound)
    try:
        return_receive(attempt=attempt, request=inbound)
    except InboundRefused:
        answering.finish(Reply(status=400, body=b"refused"))
        return render(request, "trades/return.html", {"problem": True}, status=400)
    answering.finish(Reply(status=303, body=b""))
    if not attempt.return_to:
        return render(request, "trades/return.html", {"problem": False})
    response = HttpResponseRedirect(_with_numbers(attempt), preserve_request=False)
    response.status_code = 303  # whatever the channel's verb was, the next one is GET
    return response


@csrf_exempt
@require_http_methods(["POST", "GET"])
def contract_notify(request: HttpRequest, method: str, contract_no: str) -> HttpResponse:
    """A channel's notification about one contract."""
    contract = contract_for_address(method, contract_no)
    if contract is None:
        return HttpResponse("unknown address", status=404, content_type="text/plain")
    inbound = inbound_request(request)
    if inbound is None:
        return HttpResponse("too large", status=413, content_type="text/plain")
    started = time.monotonic()
    reply = contract_notify_receive(contract=contract, request=inbound)
    exchange.record_inbound(
        peer=f"channel:{contract.channel}", operation="contract", method=inbound.method, url=request.get_full_path(),
        request_headers=inbound.headers, request_body=inbound.body, status=reply.status, response_body=reply.body,
        elapsed_ms=int((time.monotonic() - started) * 1000), app_order_no=contract.contract_no,
        merchant_no=contract.merchant.merchant_no, masked_keys=provider_for(contract.channel).masked_keys,
    )  # fmt: skip
    return HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)


@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def contract_return(request: HttpRequest, method: str, contract_no: str) -> HttpResponse:
    """The payer's browser comes back from signing, where the app named no address of its own."""
    contract = contract_for_address(method, contract_no)
    if contract is None:
        return render(request, "trades/return.html", {"problem": True}, status=404)
    query_now(contract)
    return render(request, "trades/return.html", {"problem": False})


def _with_numbers(attempt: Attempt) -> str:
    """The return address with the trade's two numbers, so that the app knows what to query."""
    parts = urlsplit(attempt.return_to)
    numbers = {"trade_no": attempt.trade.trade_no, "app_order_no": attempt.trade.app_order_no}
    kept = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k not in numbers]
    return urlunsplit(parts._replace(query=urlencode([*kept, *numbers.items()])))


def inbound_request(request: HttpRequest) -> InboundRequest | None:
    """The request as received; None when its body is too large to be a notification."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        body = b"" if length > MAX_NOTIFY_BYTES else request.body
    except (ValueError, RequestDataTooBig):
        return None
    if length > MAX_NOTIFY_BYTES or len(body) > MAX_NOTIFY_BYTES:
        return None
    return InboundRequest(
        method=request.method or "", path=request.path, query=request.META.get("QUERY_STRING", ""),
        headers={name.lower(): value for name, value in request.headers.items()}, body=body,
    )  # fmt: skip

