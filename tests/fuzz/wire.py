"""Messages as bytes that a mutator can work on: a first line, headers, an empty line, the body."""

from __future__ import annotations

from channels.base import InboundRequest
from paycenter.http import HttpResponse

_MIDDLE = b"\r\n\r\n"


def pack(first: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + _MIDDLE + body


def unpack(data: bytes) -> tuple[str, dict[str, str], bytes]:
    """The opposite, for any bytes: what is no header is left out, as a server would."""
    head, _mark, body = data.partition(_MIDDLE)
    # A server hands headers over as latin-1 text without line ends.
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if ":" in line)
    return first, {name.strip().lower(): value.strip() for name, _mark, value in pairs}, body


def pack_request(request: InboundRequest) -> bytes:
    target = request.path + (f"?{request.query}" if request.query else "")
    return pack(f"{request.method} {target}", dict(request.headers), request.body)


def unpack_request(data: bytes) -> InboundRequest:
    first, headers, body = unpack(data)
    method, _space, target = first.partition(" ")
    path, _mark, query = target.partition("?")
    return InboundRequest(method=method, path=path, query=query, headers=headers, body=body)


def pack_answer(chosen: int, answer: HttpResponse) -> bytes:
    """`chosen` says which of the recorded answers this one stands for."""
    return pack(f"{chosen} {answer.status}", dict(answer.headers), answer.body)


def unpack_answer(data: bytes) -> tuple[int, HttpResponse]:
    first, headers, body = unpack(data)
    chosen, _space, status = first.partition(" ")
    return _number(chosen), HttpResponse(_number(status, 200), headers, body)


def _number(text: str, otherwise: int = 0) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else otherwise
