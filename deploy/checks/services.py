"""A private PostgreSQL and Redis for one test run: temporary, on loopback or a socket, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

START_LIMIT = 30.0  # seconds


class Unavailable(Exception):
    """A server that is not installed or would not start; the text says which and why."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_postgres() -> Path | None:
    """The directory of `initdb` and `postgres`; Debian keeps them off PATH, the newest version wins."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    for folder in [*debian, *([Path(on_path).resolve().parent] if on_path else [])]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


def find_redis() -> str | None:
    return next((found for name in ("redis-server", "valkey-server") if (found := shutil.which(name))), None)


class Server:
    """One server program in a group of its own: started, killed without a word, started again, ended."""

    def __init__(
        self, command: Sequence[str], user: pwd.struct_passwd | None, log: Path, ready: Callable[[], bool],
        stop: signal.Signals,
    ) -> None:  # fmt: skip
        self.command, self.user, self.log, self._ready, self._stop = list(command), user, log, ready, stop
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it is ready. Raises Unavailable."""
        with self.log.open("ab") as output:
            self._process = process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd="/",
                start_new_session=True, **_identity(self.user),
            )  # type: ignore[call-overload]  # fmt: skip
        limit = time.monotonic() + START_LIMIT
        while not self._ready():
            if process.poll() is not None or time.monotonic() > limit:
                raise Unavailable(f"{Path(self.command[0]).name} did not start: {self.log.read_text()[-400:]}")
            time.sleep(0.1)

    @property
    def group(self) -> int | None:
        """Its process group, once it was started."""
        return self._process.pid if self._process is not None else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL to the program and whatever is left in its group."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def end(self) -> None:
        """Ask it to end, and force it after 20 s."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(self._stop)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def postgres_server(**settings: str) -> Iterator[tuple[Server, str]]:
    """A fresh cluster, running, and its DATABASE_URL. `settings` replace or add server settings, which by default give
    up durability for speed. Raises Unavailable."""
    programs = find_postgres()
    if programs is None:
        raise Unavailable("PostgreSQL is not installed (sudo apt-get install postgresql)")
    user = _server_user()
    with _scratch(user) as folder:
        port = free_port()
        data = folder / "data"
        _as(user, [str(programs / "initdb"), "-D", str(data), "-U", "paycenter", "-A", "trust", "-E", "UTF8",
                   "--locale=C.UTF-8", "--lc-collate=C", "--no-sync"])  # fmt: skip
        with _serving(_postgres(programs, user, folder, port, settings)) as server:
            yield server, _url(port)


def _postgres(
    programs: Path, user: pwd.struct_passwd | None, folder: Path, port: int, settings: Mapping[str, str]
) -> Server:
    options = {
        "listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": "",
        "max_connections": "200", "fsync": "off", "full_page_writes": "off", "timezone": "UTC",
        **settings,
    }  # fmt: skip
    command = [str(programs / "postgres"), "-D", str(folder / "data")]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    # SIGINT is PostgreSQL's "fast shutdown": it does not wait for clients.
    # It accepts connections before it answers: while it starts up, or recovers, it turns them away.
    asked = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    ready = _succeeds(asked) if Path(asked[0]).exists() else _accepts(port)
    return Server(command, user, folder / "postgres.log", ready, signal.SIGINT)


def _url(port: int) -> str:
    return f"postgres://paycenter:{quote('paycenter')}@127.0.0.1:{port}/postgres"


@contextmanager
def replica_server(primary_url: str, **settings: str) -> Iterator[tuple[Server, str]]:
    """A streaming replica of a server that lets us copy it, running, and its DATABASE_URL. Raises Unavailable."""
    programs = find_postgres()
    if programs is None:
        raise Unavailable("PostgreSQL is not installed (sudo apt-get install postgresql)")
    user = _server_user()
    with _scratch(user) as folder:
        port = free_port()
        # -R writes standby.signal and where to stream from; the WAL of the copying time comes along.
        _as(user, [str(programs / "pg_basebackup"), "-d", primary_url.replace("postgres://", "postgresql://"), "-D",
                   str(folder / "data"), "-R", "-X", "stream", "-c", "fast", "--no-sync"])  # fmt: skip
        with _serving(_postgres(programs, user, folder, port, settings)) as server:
            yield server, _url(port)


@contextmanager
def recovered_server(make: Callable[[Path], None], **settings: str) -> Iterator[tuple[Server, str]]:
    """A server on the data directory that `make` makes, and its DATABASE_URL; it answers, and may still be recovering.

    Raises Unavailable.
    """
    programs = find_postgres()
    if programs is None:
        raise Unavailable("PostgreSQL is not installed (sudo apt-get install postgresql)")
    user = _server_user()
    with scratch() as folder:
        port = free_port()
        make(folder / "data")
        if user is not None:
            for path in (folder / "data", *(folder / "data").rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid)
        with _serving(_postgres(programs, user, folder, port, settings)) as server:
            yield server, _url(port)


@contextmanager
def redis_server() -> Iterator[tuple[Server, str]]:
    """A fresh server that keeps nothing over a restart, running, and its REDIS_URL. Raises Unavailable."""
    program = find_redis()
    if program is None:
        raise Unavailable("Redis is not installed (sudo apt-get install redis-server)")
    user = _server_user()
    with _scratch(user) as folder:
        port = free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                   "--dir", str(folder)]  # fmt: skip
        with _serving(Server(command, user, folder / "redis.log", _accepts(port), signal.SIGTERM)) as server:
            yield server, f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgres(**settings: str) -> Iterator[str]:
    """As `postgres_server`, only the DATABASE_URL."""
    with postgres_server(**settings) as (_server, url):
        yield url


@contextmanager
def redis() -> Iterator[str]:
    """A fresh server; yields its REDIS_URL. Raises Unavailable."""
    with redis_server() as (_server, url):
        yield url


def _server_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: then it runs as `postgres`, else `nobody`."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Unavailable("running as root, and there is no user postgres or nobody to run servers as")


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that the servers may write into, gone afterwards."""
    with _scratch(_server_user()) as folder:
        yield folder


@contextmanager
def _scratch(user: pwd.struct_passwd | None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="paycenter-"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _identity(user: pwd.struct_passwd | None) -> dict[str, object]:
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _as(user: pwd.struct_passwd | None, command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **_identity(user))  # type: ignore[call-overload]
    if done.returncode != 0:
        raise Unavailable(f"{Path(command[0]).name} failed: {done.stderr.strip()[-400:]}")


def _succeeds(command: Sequence[str]) -> Callable[[], bool]:
    return lambda: subprocess.run(command, check=False).returncode == 0


def _accepts(port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return ready


@contextmanager
def _serving(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.end()
