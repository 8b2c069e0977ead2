"""The base of every `/v1` call: order of checks, envelope, errors, exchange log."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.views import APIView

from merchants.api.answers import Schema
from merchants.api.authentication import authenticate, wire_path
from merchants.api.body import parse_object
from merchants.api.errors import BadParameter, BodyTooLarge, NotJson, UnknownPath, WrongVerb
from merchants.api.fields import Shape
from merchants.api.rate_limit import is_worth_logging, spend
from merchants.api.schema import EndpointSchema
from merchants.models import App
from paycenter.errors import ApiError
from paycenter.exchange import record_inbound
from paycenter.metrics import count_call

log = structlog.get_logger(__name__)
_NUMBERS = ("trade_no", "app_order_no", "refund_no", "app_refund_no", "contract_no")
_LOGGED_HEADERS = ("X-App-Id", "X-Timestamp", "X-Nonce", "X-Sign-Type")


def envelope(errno: int, msg: str, data: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """`{"errno", "msg", "data"}` as JSON."""
    text = json.dumps({"errno": errno, "msg": msg, "data": data}, ensure_ascii=False, separators=(",", ":"))
    return HttpResponse(text.encode(), content_type="application/json", status=status)


def error_response(error: ApiError) -> HttpResponse:
    """The envelope of an error row, with `Retry-After` where the error has one."""
    response = envelope(error.errno, error.msg, error.data, error.status)
    # Django would log every answer from 500 on. These are answers; a fault of ours is logged where it is met.
    response._has_been_logged = True  # type: ignore[attr-defined]
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


class Endpoint(APIView):
    """One `/v1` call. Subclasses declare what it takes and answers, and implement `answer`.

    `takes` is checked before `answer` is called (`example` is a body it takes), `answers` are the keys of
    `data`, `errors` the contract's error rows beyond those every call has; tests hold them to it. `answer`
    holds no rules: it calls a service or selector, whose ApiErrors become the envelope.
    """

    http_method_names = ["post"]
    schema = EndpointSchema()
    operation: ClassVar[str]
    about: ClassVar[str]
    takes: ClassVar[Shape]
    example: ClassVar[Mapping[str, Any]]
    answers: ClassVar[Schema]
    errors: ClassVar[tuple[type[ApiError], ...]] = ()

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        """The `data` of a successful answer; `given` are the cleaned fields."""
        raise NotImplementedError

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """No content negotiation: the answer is JSON whatever `Accept` says."""
        self.started = time.monotonic()
        self.app: App | None = None
        self.raw = b""
        self.given: Mapping[str, Any] = {}
        self.errno, self.data = 0, cast(Mapping[str, Any], {})

    def post(self, request: Request) -> HttpResponse:
        self.raw = _read_body(request._request)
        self.app = authenticate(request._request, self.raw)
        structlog.contextvars.bind_contextvars(app_id=self.app.app_id)
        spend(self.app)
        self.given = parse_object(self.raw)
        structlog.contextvars.bind_contextvars(**self._numbers())
        self.data = self.answer(self.app, self.takes.read(self.given))
        return envelope(0, "ok", self.data)

    def handle_exception(self, exc: Exception) -> Any:
        error = exc if isinstance(exc, ApiError) else ApiError()
        if isinstance(exc, exceptions.MethodNotAllowed):
            error = WrongVerb()
        self.errno, self.data = error.errno, error.data
        response = error_response(error)
        if isinstance(error, WrongVerb):
            response.headers["Allow"] = "POST"
        elif error is not exc:
            log.exception("a call failed", operation=self.operation)
            response.fault = exc  # type: ignore[attr-defined]  # paycenter.faults alerts somebody
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        elapsed = time.monotonic() - self.started
        count_call(self.operation, self.errno, elapsed)
        self._record(request._request, response, int(elapsed * 1000))
        return response

    def _record(self, request: HttpRequest, response: HttpResponse, elapsed_ms: int) -> None:
        peer = f"app:{self.app.app_id}" if self.app else f"stranger:{request.headers.get('X-App-Id', '')[:32]}"
        if self.app is None and not is_worth_logging(peer):
            return
        record_inbound(
            peer=peer, operation=self.operation, method=request.method or "", url=wire_path(request),
            status=response.status_code, request_body=self.raw, response_body=response.content, elapsed_ms=elapsed_ms,
            request_headers={name: request.headers[name] for name in _LOGGED_HEADERS if name in request.headers},
            trade_no=self._number("trade_no"), attempt_no=self._number("attempt_no"),
            app_order_no=self._number("app_order_no"), merchant_no=self._number("merchant_no"),
        )  # fmt: skip

    def _numbers(self) -> dict[str, str]:
        """The numbers that were given, for every line this call logs."""
        return {name: value[:64] for name in _NUMBERS if isinstance(value := self.given.get(name), str)}

    def _number(self, name: str) -> str:
        """A number by which the exchange is found: from the answer, else from the request."""
        found = self.data.get(name) or self.given.get(name)
        return found if isinstance(found, str) and found.isascii() else ""


@csrf_exempt
def unknown_path(request: HttpRequest) -> HttpResponse:
    """Everything below `/v1` that is no call."""
    return error_response(UnknownPath())


def _read_body(request: HttpRequest) -> bytes:
    """The raw body. Raises BodyTooLarge without reading it all, NotJson, BadParameter."""
    limit = settings.REQUEST_BODY_LIMIT
    declared = request.META.get("CONTENT_LENGTH") or ""
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge
    _require_json(request)
    try:
        if not declared and request.META.get("wsgi.input_terminated"):
            body = bytes(request.META["wsgi.input"].read(limit + 1))  # chunked: no length was declared
        else:
            body = request.body
    except (UnreadablePostError, RawPostDataException):
        raise BadParameter({"_body": ["the body did not arrive"]}) from None
    if len(body) > limit:
        raise BodyTooLarge
    return body


def _require_json(request: HttpRequest) -> None:
    charset = request.content_params.get("charset", "utf-8") if request.content_params else "utf-8"
    encoding = request.headers.get("Content-Encoding", "identity")
    if (
        request.content_type != "application/json"
        or charset.strip("\"'").lower() not in ("utf-8", "utf8")
        or encoding.lower() != "identity"
    ):
        raise NotJson
