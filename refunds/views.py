"""`/notify/…/refund/…` of the public entrance."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from refunds.inbound import refund_for_address, refund_notify_receive
from trades.answering import Answering
from trades.views import inbound_request


@csrf_exempt
@require_http_methods(["POST", "GET"])
def refund_notify(request: HttpRequest, method: str, refund_no: str) -> HttpResponse:
    """A channel's notification about one refund."""
    refund = refund_for_address(method, refund_no)
    if refund is None:
        return HttpResponse("unknown address", status=404, content_type="text/plain")
    inbound = inbound_request(request)
    if inbound is None:
        return HttpResponse("too large", status=413, content_type="text/plain")
    answering = Answering("refund_notify", refund.attempt, request, inbound)
    reply = refund_notify_receive(refund=refund, request=inbound)
    answering.finish(reply)
    return HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)
