"""The real nginx and the real web server behind it, met by strangers: nothing passes as what it is not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.checks.services import free_port
from deploy.demo.layout import ROOT
from deploy.hosts.front import Front, find_nginx
from deploy.hosts.strangers import FORGED, HIDDEN, Door, drip, dripping, spellings, tricks
from deploy.hosts.strangers_h2 import tricks_h2

pytestmark = pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed")
START_LIMIT = 30.0  # seconds
SLOW = 1  # seconds that nginx waits for a client here, instead of 15


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The public entrance, with four threads behind it."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    web = [Path(sys.executable).parent / "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
           "--workers", "1", "--blocking-threads", "4", "--no-ws", "tests.hosts.echo_app:application"]  # fmt: skip
    place = [f"127.0.0.1:{port}"]
    front = Front(folder, {"public": place, "internal": place})
    config = folder / "paycenter.conf"
    config.write_text(config.read_text().replace(" 15s;", f" {SLOW}s;"))
    programs = [subprocess.Popen(web, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
                subprocess.Popen(front.program().command)]  # fmt: skip
    made = Door(front.public_port, front.certificate)
    limit = time.monotonic() + START_LIMIT
    while not (folder / "nginx.pid").exists() or made.say(asked(made, "/up"))[0] != 200:
        assert all(program.poll() is None for program in programs)
        assert time.monotonic() < limit
        time.sleep(0.05)
    yield made
    for program in programs:
        program.terminate()
    for program in programs:
        program.wait(10)


def asked(door: Door, path: str, *lines: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in ("Connection: close", *lines))
    return f"GET {path} HTTP/1.1\r\n".encode() + door.named + f"{head}\r\n".encode()


def answer(door: Door, data: bytes) -> dict[str, Any]:
    status, text = door.say(data)
    assert status == 200, text
    return dict(json.loads(text.rpartition(b"\r\n\r\n")[2]))


@pytest.mark.parametrize("kind", [tricks, tricks_h2])
def test_no_trick_gets_further_than_it_may(door: Door, kind: Callable[[Door], Iterator[Any]]) -> None:
    """None is answered as what it is not, and no host ever saw what was hidden in another request."""
    answers = [(trick, trick.status(door)) for trick in kind(door)]
    assert [(trick.name, status) for trick, status in answers if status not in trick.statuses] == []
    assert HIDDEN not in answer(door, asked(door, "/seen"))["seen"]


def test_no_spelling_of_a_path_leads_to_health(door: Door) -> None:
    for trick in spellings(door):
        trick.status(door)
    seen = answer(door, asked(door, "/seen"))["seen"]
    assert "/healthz" not in seen
    assert any("healthz" in path for path in seen), "some are other paths, which nobody serves"


def test_nobody_says_for_himself_who_he_is(door: Door) -> None:
    forged = [f"{name}: 10.9.9.9" for name in FORGED]
    found = answer(door, asked(door, "/c/x", *forged, "Connection: X-Forwarded-For, X-Forwarded-Proto"))["headers"]
    assert found == {"HTTP_HOST": f"127.0.0.1:{door.port}", "HTTP_X_FORWARDED_FOR": "127.0.0.1",
                     "HTTP_X_FORWARDED_PROTO": "https"}  # fmt: skip


@pytest.mark.parametrize(("said", "told"), [("evil.example", "127.0.0.1"), ("evil.example:81", "127.0.0.1:81")])
def test_the_name_is_the_one_the_server_was_chosen_by(door: Door, said: str, told: str) -> None:
    data = f"GET https://127.0.0.1:{door.port}/c/x HTTP/1.1\r\nHost: {said}\r\nConnection: close\r\n\r\n"
    assert answer(door, data.encode())["headers"]["HTTP_HOST"] == told


def test_who_drips_holds_up_nobody_and_is_left(door: Door) -> None:
    with dripping(door, 40) as links:
        began = time.monotonic()
        for _time in range(5):
            assert answer(door, asked(door, "/c/while-others-drip"))["path"] == "/c/while-others-drip"
        while drip(links[::2]) and time.monotonic() - began < START_LIMIT:  # headers have to come whole in the time
            time.sleep(0.1)
        assert drip(links[::2]) == 0
    seen = answer(door, asked(door, "/seen"))["seen"]
    assert "/c/x" not in seen[seen.index("/c/while-others-drip") :]
