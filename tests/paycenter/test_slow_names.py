"""A customer's name server that does not answer keeps nobody else from being called."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import Any

import pytest

from paycenter.egress import EgressPolicy
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import HttpClient, TimeLimits, start_on_loop
from tests.paycenter.raw_server import RawServer

SILENT_SECONDS = 3.0


@pytest.mark.clock
def test_many_silent_name_servers_hold_up_no_other_call(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def lookup(host: Any, *args: Any, **values: Any) -> Any:
        if str(host).startswith("silent"):
            time.sleep(SILENT_SECONDS)
            raise socket.gaierror("no answer")
        return real(host, *args, **values)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    client = HttpClient(EgressPolicy(("127.0.0.0/8", "::1/128")))
    limits = TimeLimits(connect=1.0, total=1.0)
    waiting = [
        start_on_loop(client.fetch("POST", f"http://silent{n}.example/", limits=limits)) for n in range(20)
    ]
    time.sleep(0.2)  # all of them are being looked up
    started = time.monotonic()
    with closing(RawServer()) as server:
        assert client.request("POST", f"http://localhost:{server.port}/", limits=limits).status == 200
    assert time.monotonic() - started < 0.9
    for call in waiting:
        with pytest.raises((NotSent, UnknownOutcome)):
            call.result(timeout=5)
