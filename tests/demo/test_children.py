import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.demo import children
from deploy.demo.children import Child, Guard, Program, end_all


def wait_until(condition, seconds=10.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "did not happen in time"
        time.sleep(0.02)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def guard():
    made = Guard()
    yield made
    made.dismiss()


@pytest.fixture
def launch(tmp_path, guard):
    started = []

    def start(code, name="job"):
        child = Child(Program(name, [sys.executable, "-u", "-c", code]), dict(os.environ), tmp_path, guard)
        child.start()
        started.append(child)
        return child

    yield start
    end_all(started, 0)


SLEEPER = "import time; print('up'); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
# A process with a child of its own in the same group, as servers with workers are.
PARENT = """
import subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(worker.pid)
time.sleep(60)
"""


def up(child):
    wait_until(lambda: child.log.exists() and child.log.read_text())
    return child.log.read_text()


def test_a_child_that_dies_is_reported_and_started_again(launch, monkeypatch):
    monkeypatch.setattr(children, "FIRST_BACKOFF", 0.1)
    child = launch("raise SystemExit(3)")
    wait_until(child.has_ended)

    assert "job ended (exit status 3); starting it again in 0.1 s" in child.tend()
    assert child.tend() is None
    time.sleep(0.15)
    assert child.tend() == "job was started again"
    assert child.deaths == 1


def test_pauses_grow_up_to_a_limit(launch, monkeypatch):
    monkeypatch.setattr(children, "FIRST_BACKOFF", 0.01)
    monkeypatch.setattr(children, "LONGEST_BACKOFF", 0.03)
    child = launch("")
    said = []
    for _ in range(4):
        wait_until(child.has_ended)
        said.append(child.tend())
        wait_until(child.tend)

    assert [text.split(" in ")[1].split(" s")[0] for text in said] == ["0.01", "0.02", "0.03", "0.03"]


def test_a_steady_run_clears_the_past(launch, monkeypatch):
    monkeypatch.setattr(children, "STEADY", 0.0)
    child = launch(SLEEPER)
    child.deaths = 5

    assert child.tend() is None
    assert child.deaths == 0


def test_a_killed_childs_own_children_go_with_it(launch):
    child = launch(PARENT)
    worker = int(up(child))
    os.kill(child.group, signal.SIGKILL)
    wait_until(child.has_ended)

    assert "SIGKILL" in child.tend()
    wait_until(lambda: gone(worker))


@pytest.mark.clock
def test_all_end_together_and_the_stubborn_are_forced(launch):
    polite, stubborn, parent = launch(SLEEPER, "polite"), launch(STUBBORN, "stubborn"), launch(PARENT, "parent")
    groups = [child.group for child in (polite, stubborn, parent)]
    up(polite), up(stubborn)
    worker = int(up(parent))
    began = time.monotonic()

    end_all([polite, stubborn, parent], patience=0.5)

    assert time.monotonic() - began < 3
    assert all(gone(pid) for pid in groups)
    wait_until(lambda: gone(worker))
    assert polite.tend() is None, "what was ended on purpose is not started again"


def test_the_guard_ends_what_a_killed_supervisor_leaves(tmp_path):
    supervisor = subprocess.Popen(
        [sys.executable, "-c", f"""
import os, pathlib, sys, time
from deploy.demo.children import Child, Guard, Program
guard = Guard()
for name, code in (("sleeper", {SLEEPER!r}), ("parent", {PARENT!r})):
    program = Program(name, [sys.executable, "-u", "-c", code])
    child = Child(program, dict(os.environ), pathlib.Path({str(tmp_path)!r}), guard)
    child.start()
    print(child.group, flush=True)
time.sleep(60)
"""],
        stdout=subprocess.PIPE, text=True, cwd=children.ROOT,
    )  # fmt: skip
    left = [int(supervisor.stdout.readline()) for _ in range(2)]
    log = tmp_path / "parent.log"
    wait_until(lambda: log.exists() and log.read_text())
    left.append(int(log.read_text()))

    supervisor.kill()
    supervisor.communicate()

    wait_until(lambda: all(gone(pid) for pid in left), seconds=8)


def test_a_guard_that_was_ended_is_replaced_and_knows_everybody(tmp_path):
    guard = Guard()
    child = Child(Program("job", [sys.executable, "-c", SLEEPER]), dict(os.environ), tmp_path, guard)
    child.start()
    guard._process.kill()
    guard._process.wait()

    guard.ensure([child.group])
    pid = child.group
    guard.dismiss()  # without taking the group off: as if the supervisor had died

    wait_until(lambda: child.has_ended())
    assert gone(pid)


def test_a_log_starts_over_at_its_limit_and_keeps_what_was_there(launch, monkeypatch):
    monkeypatch.setattr(children, "LOG_LIMIT", 1000)
    child = launch(
        "import time\nfor n in range(100): print('line', n, '.' * 20)\nprint('full')\ntime.sleep(0.6)\nprint('after')"
    )
    wait_until(lambda: "full" in up(child))

    child.trim_log()
    wait_until(child.has_ended)

    assert child.log.read_text() == "after\n"
    assert "line 99" in child.log.with_suffix(".log.1").read_text()


def test_the_last_lines_tell_why(launch):
    child = launch("print('one'); raise SystemExit('the reason')")
    wait_until(child.has_ended)

    assert child.last_lines(1) == "the reason"
