import os
import socket
import subprocess
import sys

import pytest

from deploy.demo import claim as claiming
from deploy.demo.claim import check_ports, claim, make_directories
from deploy.demo.layout import ROOT, Trouble, read

_HOLDER = """
import fcntl, sys, time
lock = open(sys.argv[1], "a+")
fcntl.flock(lock, fcntl.LOCK_EX)
lock.truncate(0); lock.write(sys.argv[2]); lock.flush()
print("held", flush=True)
time.sleep(float(sys.argv[3]))
"""


@pytest.fixture
def layout(tmp_path):
    found = read({"PAYCENTER_VAR": str(tmp_path / "var")})
    make_directories(found)
    return found


def _hold(layout, pid, seconds):
    command = [sys.executable, "-c", _HOLDER, str(layout.var / "demo.lock"), str(pid), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(Trouble, match=r"Cannot write to .*/file/var: .* Set PAYCENTER_VAR"):
        make_directories(read({"PAYCENTER_VAR": str(tmp_path / "file" / "var")}))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_a_directory_of_somebody_else_is_named(tmp_path):
    program = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from deploy.demo.claim import make_directories
from deploy.demo.layout import Trouble, read
os.setuid(65534)
try:
    make_directories(read({{"PAYCENTER_VAR": {str(tmp_path)!r}}}))
except Trouble as exc:
    print(exc)
"""
    tmp_path.chmod(0o755)

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert f"Cannot write to {tmp_path}: Permission denied" in said


def test_a_second_demo_is_told_of_the_first(layout):
    first = _hold(layout, os.getpid(), 60)
    try:
        with pytest.raises(Trouble, match=rf"already running.*pid {os.getpid()}.*PAYCENTER_VAR") as said:
            claim(layout)
    finally:
        first.kill()
        first.communicate()
    assert str(layout.document) in str(said.value)


def test_the_remains_of_a_killed_demo_are_waited_for(layout, capsys):
    # The owner's process id is gone, its guard still holds the lock while it ends the programs.
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    guard = _hold(layout, gone.pid, 1)

    with claim(layout) as lock:
        assert int((layout.var / "demo.lock").read_text()) == os.getpid()
        assert not lock.closed
    guard.communicate()
    assert "still stopping" in capsys.readouterr().out


def test_waiting_for_remains_ends(layout, monkeypatch):
    monkeypatch.setattr(claiming, "LEFTOVER_PATIENCE", 0.3)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    guard = _hold(layout, gone.pid, 60)
    try:
        with pytest.raises(Trouble, match="Try again"):
            claim(layout)
    finally:
        guard.kill()
        guard.communicate()


def test_a_lock_file_that_nobody_holds_is_no_obstacle(layout):
    (layout.var / "demo.lock").write_text("1")  # process 1 is always alive

    claim(layout).close()


def test_a_busy_port_names_the_setting_that_moves_it(tmp_path):
    with socket.socket() as other, socket.socket() as free:
        other.bind(("127.0.0.1", 0))
        other.listen()
        free.bind(("127.0.0.1", 0))
        busy, unused = other.getsockname()[1], free.getsockname()[1]
        free.close()
        layout = read({"PAYCENTER_PORT": str(unused), "PAYCENTER_SANDBOX_PORT": str(busy)})

        with pytest.raises(Trouble, match=rf"Port {busy} .* in use.*PAYCENTER_SANDBOX_PORT={busy + 100}|=8100"):
            check_ports(layout)
