"""OpenAPI of the `/v1` calls, generated from what each endpoint declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from merchants.api import errors as rows
from merchants.api.answers import record, text
from paycenter.errors import ApiError

if TYPE_CHECKING:
    from merchants.api.endpoint import Endpoint

# What any call may answer, in the order in which it is checked.
EVERY_CALL: tuple[type[ApiError], ...] = (
    rows.WrongVerb, rows.BodyTooLarge, rows.NotJson, rows.NotAuthenticated, rows.AddressNotAllowed,
    rows.TimestampOutside, rows.NonceUsed, rows.TooManyRequests, rows.BadParameter, ApiError,
)  # fmt: skip
SIGNING = (
    "Base64 of the signature over `METHOD\\nPATH[?QUERY]\\nTIMESTAMP\\nNONCE\\nBODY\\n` (PATH as sent on the wire, "
    "BODY the raw bytes): HMAC-SHA256 under the app's secret, or RSA2 (RSASSA-PKCS1-v1_5 with SHA-256)."
)
_HEADERS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("X-App-Id", {"type": "string", "minLength": 1, "maxLength": 32}, "The app's id."),
    ("X-Timestamp", {"type": "string", "pattern": "^[0-9]{1,11}$"}, "Unix seconds, at most 300 off."),
    ("X-Nonce", {"type": "string", "pattern": "^[A-Za-z0-9_-]{8,64}$"}, "Never used twice by the app."),
    ("X-Sign-Type", {"type": "string", "enum": ["HMAC-SHA256", "RSA2"]}, "How the request is signed."),
    ("X-Signature", {"type": "string", "pattern": "^[A-Za-z0-9+/]+={0,2}$"}, SIGNING),
)


class EndpointSchema(AutoSchema):
    """Describes an Endpoint; nothing is guessed from code. What calls share is written once."""

    def get_operation(self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any) -> Any:
        endpoint = cast("Endpoint", self.view)
        return {
            "operationId": endpoint.operation,
            "summary": endpoint.about,
            "tags": ["v1"],
            "parameters": [_header(registry, *header) for header in _HEADERS],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": endpoint.takes.schema(), "example": endpoint.example}},
            },
            "responses": _responses(registry, endpoint),
        }


def _header(registry: Any, name: str, schema: dict[str, Any], about: str) -> dict[str, Any]:
    found = {"name": name, "in": "header", "required": True, "schema": schema, "description": about}
    return _shared(registry, ResolvedComponent.PARAMETER, name, found)


def _responses(registry: Any, endpoint: Endpoint) -> dict[str, Any]:
    found = {"200": _answer("done", {"type": "integer", "enum": [0]}, endpoint.answers)}
    declared = (*EVERY_CALL, *endpoint.errors)
    for status in sorted({error.status for error in declared}):
        classes = [error for error in declared if error.status == status]
        name = "Errors_" + "_".join(str(error.errno) for error in classes)
        found[str(status)] = _shared(registry, ResolvedComponent.RESPONSE, name, _error_answer(classes))
    return found


def _shared(registry: Any, kind: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
    """A reference to a component with this content."""
    component = ResolvedComponent(name, kind, content, object=name)  # type: ignore[no-untyped-call]
    registry.register_on_missing(component)
    return dict(component.ref)


def _error_answer(classes: Sequence[type[ApiError]]) -> dict[str, Any]:
    about = "; ".join(f"{e.errno}: {e.default_msg}" for e in classes)
    variants = [_data_of(e) for e in classes]
    different = [v for n, v in enumerate(variants) if v not in variants[:n]]
    data = different[0] if len(different) == 1 else {"anyOf": different}
    found = _answer(about, {"type": "integer", "enum": [e.errno for e in classes]}, data)
    if classes[0] in (rows.TooManyRequests, rows.ChannelShed):
        found["headers"]["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds.", "required": True}
    return found


def _answer(about: str, errno: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    request_id = {"schema": {"type": "string"}, "description": "Names this request in our logs.", "required": True}
    schema = record({"errno": errno, "msg": text(), "data": data})
    return {
        "description": about,
        "headers": {"X-Request-Id": request_id},
        "content": {"application/json": {"schema": schema}},
    }


_NUMBERS = {"trade_no": text(), "attempt_no": text(), "app_order_no": text()}
_DATA: dict[type[ApiError], dict[str, Any]] = {
    rows.BadParameter: record(
        {
            "errors": {
                "type": "object",
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
                "description": "Reasons by dotted path; `_body` for a body that is no JSON object.",
            }
        }
    ),
    rows.ChannelRefused: record({"channel_code": text(), "channel_msg": text(), **_NUMBERS}),
    rows.ChannelUnknown: record(_NUMBERS),
}


def _data_of(error: type[ApiError]) -> dict[str, Any]:
    return _DATA.get(error) or {"type": "object", "maxProperties": 0}
