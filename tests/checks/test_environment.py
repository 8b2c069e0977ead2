"""What `make demo` and `make test` do before anything of ours can run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import environment
from deploy.demo.layout import ROOT

NEEDED = ("sh", "dirname", "cut")


@pytest.fixture
def clone(tmp_path):
    """A bare clone with nothing to install, and a program to become."""
    folder = tmp_path / "clone"
    (folder / "deploy").mkdir(parents=True)
    for name in ("run.sh", "environment.py"):
        shutil.copy(ROOT / "deploy" / name, folder / "deploy" / name)
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-installer.txt"):
        (folder / name).write_text("")
    (folder / "hello.py").write_text("import sys, os; print('hello', sys.argv[1:], os.getpid(), sys.prefix)")
    return folder


def run(clone, *arguments, path=None, **extra):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PAYCENTER_", "VIRTUAL_ENV", "PYTHON"))}
    environ = kept | ({"PATH": path} if path else {}) | extra
    return subprocess.run(
        ["/bin/sh", "deploy/run.sh", *arguments], cwd=clone, capture_output=True, text=True, env=environ, check=False
    )


def only(folder, **programs):
    """A PATH with the shell's own needs and the given programs."""
    folder.mkdir()
    for name in NEEDED:
        (folder / name).symlink_to(shutil.which(name))
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_no_python_at_all_names_the_package(clone, tmp_path):
    done = run(clone, "runtime", "hello", path=only(tmp_path / "bin"))

    assert done.returncode == 1
    assert done.stderr.strip() == "Python 3 is missing. Install it with: sudo apt-get install python3 python3-venv"


def test_an_old_python_is_named_with_its_version(clone, tmp_path):
    old = 'if [ "$1" = -V ]; then echo Python 3.9.2; else exit 1; fi'
    done = run(clone, "runtime", "hello", path=only(tmp_path / "bin", python3=old))

    assert done.returncode == 1
    assert "Python 3.11, 3.12 or 3.13 is needed; python3 here is 3.9.2." in done.stderr
    assert "apt-get install" in done.stderr


def test_a_shim_of_a_version_that_is_not_installed_is_passed_over(clone, tmp_path):
    path = only(tmp_path / "bin", **{"python3.13": "exit 127", "python3": f'exec {sys.executable} "$@"'})
    (clone / "deploy" / "environment.py").write_text("import sys; print('chosen', sys.argv)")

    done = run(clone, "runtime", "hello", path=path)

    assert "chosen ['deploy/environment.py', 'runtime', 'hello']" in done.stdout


def test_python_without_venv_names_the_package(clone, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    monkeypatch.setattr(environment, "VENV", clone / ".venv")

    with pytest.raises(environment.Hopeless, match=r"venv package is missing.*sudo apt-get install python3-venv"):
        environment._create()
    assert not (clone / ".venv").exists(), "nothing half made stays"


def test_the_first_run_makes_an_environment_and_becomes_the_program(clone):
    first = run(clone, "runtime", "hello", "one", "two", PIP_NO_INDEX="1")
    again = run(clone, "runtime", "hello")

    assert first.returncode == 0, first.stderr
    assert "Installing requirements.txt" in first.stdout
    assert f"hello ['one', 'two'] {_pid(first)} {clone}/.venv" in first.stdout
    assert "Installing" not in again.stdout
    assert "hello [] " in again.stdout


def _pid(done):
    return done.stdout.split()[-2]


def test_changed_requirements_are_installed(clone):
    run(clone, "runtime", "hello", PIP_NO_INDEX="1")
    (clone / "requirements.txt").write_text("# another comment\n")

    assert "Installing requirements.txt" in run(clone, "runtime", "hello", PIP_NO_INDEX="1").stdout


def test_an_interrupted_attempt_is_made_anew(clone):
    run(clone, "runtime", "hello", PIP_NO_INDEX="1")
    (clone / ".venv" / ".unfinished").touch()
    (clone / ".venv" / ".runtime-complete").unlink()
    (clone / ".venv" / "leftover").touch()

    done = run(clone, "runtime", "hello", PIP_NO_INDEX="1")

    assert "unfinished or made by another Python: making it anew" in done.stdout
    assert "hello []" in done.stdout
    assert not (clone / ".venv" / "leftover").exists()


def test_packages_that_cannot_be_had_leave_a_sentence_and_a_retry(clone):
    (clone / "requirements.txt").write_text("nothing-of-this-name==1.0 --hash=sha256:" + "0" * 64 + "\n")

    done = run(clone, "runtime", "hello", PIP_NO_INDEX="1")

    assert done.returncode == 1
    assert "The packages could not be installed" in done.stderr
    assert "run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    (clone / "requirements.txt").write_text("")
    assert "hello []" in run(clone, "runtime", "hello", PIP_NO_INDEX="1").stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_a_read_only_clone_says_what_to_set(clone):
    for folder in (clone, *clone.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    command = ["env", "sh", "deploy/run.sh", "runtime", "hello"]
    code = f"import os; os.setuid(65534); os.chdir({str(clone)!r}); os.execv('/usr/bin/env', {command})"
    environ = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}

    done = subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, text=True, env=environ, check=False)

    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert "PAYCENTER_VENV" in done.stderr
    assert "Traceback" not in done.stderr


def test_pips_settings_are_passed_on_to_uv(monkeypatch):
    shown = "global.index-url='https://mirror.example/simple'\n:env:.cert='/ca.pem'\nglobal.timeout='3'\n"
    monkeypatch.setattr(
        environment.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, stdout=shown, stderr="")
    )
    for name in ("UV_DEFAULT_INDEX", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)

    found = environment._uv_settings(["pip"])

    assert found["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert found["SSL_CERT_FILE"] == "/ca.pem"
    assert set(found) == {"UV_DEFAULT_INDEX", "SSL_CERT_FILE", "UV_LINK_MODE"}


def test_another_python_or_other_requirements_are_another_environment():
    assert len({
        environment.fingerprint(b"a==1", (3, 11)), environment.fingerprint(b"a==2", (3, 11)),
        environment.fingerprint(b"a==1", (3, 12)),
    }) == 3  # fmt: skip


def test_every_pin_of_the_demo_is_the_one_that_is_tested():
    def pins(name):
        lines = (ROOT / name).read_text().splitlines()
        pinned = (line.split(" ")[0] for line in lines if "==" in line and not line.startswith((" ", "#")))
        return {tuple(pin.lower().split("==")) for pin in pinned}

    assert pins("requirements.txt") <= pins("requirements-dev.txt")


def test_requirements_name_no_index_and_hash_everything():
    for path in ROOT.glob("requirements*.txt"):
        text = Path(path).read_text()
        assert "://" not in text, f"{path.name} names an address"
        assert text.count("==") <= text.count("--hash=sha256:")
