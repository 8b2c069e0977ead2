"""Makes `.venv` from the pinned requirements, then becomes the program that was asked for.

Runs under the system's Python with nothing but the standard library:
`environment.py runtime|dev MODULE [ARGUMENT ...]` ends as `.venv/bin/python -m MODULE ARGUMENT ...`
in the same process, so that a signal to whoever started this reaches the program.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(os.environ.get("PAYCENTER_VENV") or ROOT / ".venv").absolute()
REQUIREMENTS = {"runtime": "requirements.txt", "dev": "requirements-dev.txt"}
# What is tested with is pinned to the same versions as what runs, and more: it serves both.
SERVED_BY = {"runtime": ("runtime", "dev"), "dev": ("dev",)}
INSTALLER = ROOT / "requirements-installer.txt"


class Hopeless(Exception):
    """What is in the way and what to do about it, in words for whoever typed the command."""


def fingerprint(requirements: bytes, version: Sequence[int] = sys.version_info[:2]) -> str:
    """Names an environment: the requirements' bytes and the Python version it was made for."""
    return hashlib.sha256(b"%d.%d\n" % tuple(version) + requirements).hexdigest()


def stamp(venv: Path, kind: str) -> Path:
    """Written last, hence only a complete environment has it."""
    return venv / f".{kind}-complete"


def is_ready(venv: Path, kind: str, wanted: str) -> bool:
    """Whether the environment was completed for exactly these requirements and can run."""
    try:
        return stamp(venv, kind).read_text() == wanted and (venv / "bin" / "python").exists()
    except OSError:
        return False


def must_start_over(venv: Path, version: Sequence[int] = sys.version_info[:2]) -> bool:
    """Whether what is there is the remains of an interrupted attempt, or another Python's."""
    if not venv.exists():
        return False
    if (venv / ".unfinished").exists() or not (venv / "bin" / "python").exists():
        return True
    return not (venv / "lib" / f"python{version[0]}.{version[1]}").is_dir()


def ensure(kind: str) -> None:
    """Create or complete the environment. Raises Hopeless."""
    if _is_there(kind):
        return
    with _one_at_a_time():
        if _is_there(kind):
            return
        try:
            _build(kind)
            stamp(VENV, kind).write_text(_wanted(kind))
        except OSError as exc:
            raise _unwritable(exc, VENV) from exc


def _wanted(kind: str) -> str:
    return fingerprint((ROOT / REQUIREMENTS[kind]).read_bytes())


def _is_there(kind: str) -> bool:
    return any(is_ready(VENV, server, _wanted(server)) for server in SERVED_BY[kind])


def _unwritable(exc: OSError, path: Path) -> Hopeless:
    return Hopeless(
        f"Cannot write {exc.filename or path}: {exc.strerror}. Clone into a directory you may write to, or name"
        " two that you may write to: PAYCENTER_VENV (Python packages) and PAYCENTER_VAR (data)."
    )


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two commands at once must not build the same environment."""
    path = VENV.with_name(VENV.name + ".lock")
    try:
        handle = path.open("w")
    except OSError as exc:
        raise _unwritable(exc, path) from exc
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(kind: str) -> None:
    if must_start_over(VENV):
        print(f"{VENV} is unfinished or made by another Python: making it anew.", flush=True)
        shutil.rmtree(VENV)
    if not VENV.exists():
        _create()
    print(f"Installing {REQUIREMENTS[kind]} into {VENV} (once) ...", flush=True)
    marker = VENV / ".unfinished"
    marker.touch()
    _install(ROOT / REQUIREMENTS[kind])
    marker.unlink()


def _create() -> None:
    try:
        import ensurepip  # noqa: F401 -- Debian keeps it in a package of its own
        import venv  # noqa: F401
    except ImportError:
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        raise Hopeless(
            f"{name} cannot make virtual environments: its venv package is missing."
            f" Install it with: sudo apt-get install python3-venv   (or {name}-venv)"
        ) from None
    VENV.mkdir(parents=True)
    (VENV / ".unfinished").touch()
    _run([sys.executable, "-m", "venv", str(VENV)], why="The virtual environment could not be made.")


def _install(requirements: Path) -> None:
    python = str(VENV / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    checked = ["--require-hashes", "-r", str(requirements)]
    if _try([*pip, "install", "-q", "--require-hashes", "-r", str(INSTALLER)]):
        # Compiled once, as pip does it: a demo starts a dozen processes that would all compile the same.
        uv = [str(VENV / "bin" / "uv"), "pip", "install", "-q", "--compile-bytecode", "--python", python]
        if _try([*uv, *checked], extra=_uv_settings(pip)):
            return
    _run(
        [*pip, "install", "-q", *checked],
        why="The packages could not be installed (the lines above say why). A package index must be reachable"
        " once; pip's own settings (pip.conf, PIP_INDEX_URL) are honoured. Then run the same command again.",
    )


def _uv_settings(pip: Sequence[str]) -> Mapping[str, str]:
    """pip's index settings in uv's words, which reads none of pip's files."""
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS",
             "cert": "SSL_CERT_FILE"}  # fmt: skip
    shown = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False).stdout
    found: dict[str, str] = {"UV_LINK_MODE": "copy"}
    for line in shown.splitlines():
        key, _, value = line.partition("=")
        name = names.get(key.rpartition(".")[2])
        if name and name not in os.environ:
            found[name] = value.strip().strip("'\"").replace("\\n", " ").strip()
    return found


_running: list[subprocess.Popen[bytes]] = []


def _spawn(command: Sequence[str], *, extra: Mapping[str, str], quiet: bool) -> int:
    sink = subprocess.DEVNULL if quiet else None
    environment = {**os.environ, **extra}
    process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink, start_new_session=True)
    _running.append(process)
    try:
        return process.wait()
    finally:
        _running.remove(process)


def _try(command: Sequence[str], *, extra: Mapping[str, str] | None = None) -> bool:
    try:
        return _spawn(command, extra=extra or {}, quiet=True) == 0
    except FileNotFoundError:  # the program itself is not there
        return False


def _run(command: Sequence[str], *, why: str) -> None:
    if _spawn(command, extra={}, quiet=False) != 0:
        raise Hopeless(why)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """End the installer together with us; the unfinished mark makes the next start redo it."""
    for process in _running:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    print("\nStopped while preparing; the next start begins that step anew.", file=sys.stderr, flush=True)
    os._exit(128 + number)


def main(arguments: Sequence[str]) -> int:
    if len(arguments) < 2 or arguments[0] not in REQUIREMENTS:
        print("usage: environment.py runtime|dev MODULE [ARGUMENT ...]", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        ensure(arguments[0])
    except Hopeless as exc:
        print(exc, file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(ROOT)
    python = str(VENV / "bin" / "python")
    return os.execv(python, [python, "-m", *arguments[1:]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
