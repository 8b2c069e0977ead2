"""Who gets requests: as the hosts themselves say, and never nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.checks.services import free_port
from deploy.nginx import balance

EXAMPLE = balance.HERE / "site.env.example"


@contextmanager
def host(status: int) -> Iterator[Any]:
    """A web host whose /readyz answers `status`; `asked` are the paths, and the names it was asked under."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers["Host"]))  # type: ignore[attr-defined]
            self.send_response(server.status)  # type: ignore[attr-defined]
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_given: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.asked = status, []  # type: ignore[attr-defined]
    server.place = f"127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def site(folder: Path, *servers: str) -> dict[str, str]:
    return {
        "PUBLIC_NAME": "pay.example.com", "PUBLIC_SERVERS": ", ".join(servers),
        "UPSTREAMS": str(folder / "upstreams.conf"), "RELOAD": f"touch {folder / 'reloaded'}",
    }  # fmt: skip


def down(folder: Path) -> list[str]:
    lines = (folder / "upstreams.conf").read_text().splitlines()
    return [line.split()[1] for line in lines if line.endswith(" down;")]


def test_a_host_that_is_not_ready_is_out_at_once_and_in_again_later(tmp_path: Path) -> None:
    with host(200) as one, host(200) as two:
        watch = balance.Watch(site(tmp_path, one.place, two.place))
        assert (watch.look(), down(tmp_path)) == (True, [])
        assert watch.look() is False, "nginx is told only what is new"
        one.status = 503
        assert (watch.look(), down(tmp_path)) == (True, [one.place])
        one.status = 200
        assert (watch.look(), down(tmp_path)) == (True, [])
        assert set(one.asked) == {("/readyz", "pay.example.com")}


def test_one_look_without_an_answer_is_no_outage(tmp_path: Path) -> None:
    gone = f"127.0.0.1:{free_port()}"
    with host(200) as one:
        watch = balance.Watch(site(tmp_path, gone, one.place))
        watch.look()
        assert down(tmp_path) == []
        watch.look()
        assert down(tmp_path) == [gone]


def test_never_are_all_of_them_out(tmp_path: Path) -> None:
    with host(503) as one, host(503) as two:
        balance.Watch(site(tmp_path, one.place, two.place)).look()
        assert down(tmp_path) == []


def test_what_nginx_does_not_take_is_told_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with host(200) as one:
        values = {**site(tmp_path, one.place), "RELOAD": "sh -c 'echo no such file >&2; exit 1'"}
        watch = balance.Watch(values)
        assert watch.look() is False
        assert "nginx was not reloaded: no such file" in capsys.readouterr().err
        watch.site = site(tmp_path, one.place)
        assert watch.look() is True


def test_the_example_is_complete(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert balance.main(["render", str(EXAMPLE)]) == 0
    shown = capsys.readouterr().out
    assert "@{" not in shown.replace("@{...}", "")
    assert "paycenter_portal" not in shown
    with_portal = tmp_path / "site.env"
    with_portal.write_text(EXAMPLE.read_text().replace("#PORTAL", "PORTAL"))
    assert balance.main(["render", str(with_portal)]) == 0
    assert "proxy_pass http://paycenter_portal;" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "said"), [("PUBLIC_NAME=x\n", "not set: "), ("nonsense\n", "line 1: not NAME=value")])
def test_what_is_wrong_with_a_site_is_said(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "site.env"
    path.write_text(text)
    assert balance.main(["render", str(path)]) == 1
    assert said in capsys.readouterr().err
