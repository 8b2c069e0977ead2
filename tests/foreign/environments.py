"""Environments of clients that nobody here wrote, installed on first use below `var/foreign/`.

None is a dependency of the product. Versions are exact; Python ones are installed with hashes, the
npm packages themselves are compared with the digest below (what they depend on is npm's to resolve).
`python -m tests.foreign.environments` installs them all.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(__file__).resolve().parent / "clients"
# Of the project, not of one run: a run's own PAYCENTER_VAR is gone with it.
CACHE = ROOT / "var" / "foreign"
_INSTALL_SECONDS = 240


class Absent(Exception):
    """A client cannot be had here; the text says why."""


@dataclass(frozen=True)
class NpmPackage:
    name: str
    version: str
    sha512: str  # base64, of the published archive


NPM = {
    "alipay_sdk": NpmPackage(
        "alipay-sdk", "4.14.0",
        "oiD/VP5Ei0RRacHHmE+N0uqgOj2xzce7c0fHrtyyh1P04O+o9I1r65LdGPzU8960J56xOxS/d3c+R/9lsPUH7g==",
    ),
    "wechatpay_axios": NpmPackage(
        "wechatpay-axios-plugin", "0.9.6",
        "QWw5mfi8HCO/hdELqZQqJp34HtVjjMQNVvg1t4/OVNa3j69cVqY5DW5fcikZL390GxVMyphgKbAqT0YmdbM/EQ==",
    ),
}  # fmt: skip
PYTHON = ("wechatpayv3", "python_alipay_sdk")


def command_for(client: str) -> list[str]:
    """The command line that runs a client's script in its own environment. Raises Absent."""
    if client in NPM:
        directory = _npm_environment(client)
        return [_program("node"), str(CLIENTS / f"{client}.mjs"), str(directory)]
    return [str(_python_environment(client) / "bin" / "python"), "-u", str(CLIENTS / f"{client}_client.py")]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Absent(f"{name} is not installed")
    return found


def _npm_environment(client: str) -> Path:
    package = NPM[client]
    _program("node")
    npm = _program("npm")
    directory = CACHE / f"{client}-{package.version}"
    with _installing(directory) as needed:
        if needed:
            (directory / "package.json").write_text(json.dumps({"name": client, "private": True}))
            _run([npm, "pack", f"{package.name}@{package.version}", "--silent"], directory)
            archive = directory / f"{package.name}-{package.version}.tgz"
            digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
            if digest != package.sha512:
                raise RuntimeError(f"{archive.name} is not the archive that was reviewed")
            _run([npm, "install", f"./{archive.name}", "--no-package-lock", "--ignore-scripts", "--no-audit",
                  "--no-fund", "--silent"], directory)  # fmt: skip
    return directory


def _python_environment(client: str) -> Path:
    requirements = CLIENTS / f"{client}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    directory = CACHE / f"{client}-{digest}"
    with _installing(directory) as needed:
        if needed:
            venv.create(directory, with_pip=True, clear=False)
            _run([str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes",
                  "-r", str(requirements)], directory)  # fmt: skip
    return directory


@contextmanager
def _installing(directory: Path) -> Iterator[bool]:
    """Whether to install: once, by one process at a time; what was left half done starts anew."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = directory / "installed"
        if not done.exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            yield True
            done.touch()
        else:
            yield False


def _run(command: list[str], directory: Path) -> None:
    try:
        subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=_INSTALL_SECONDS)
    except subprocess.CalledProcessError as exc:
        tail = exc.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
        raise Absent(f"cannot install: {tail[0][:200]}") from exc
    except subprocess.TimeoutExpired as exc:
        raise Absent("installing took too long") from exc


if __name__ == "__main__":
    for name in (*NPM, *PYTHON):
        sys.stdout.write(f"{name}: {' '.join(command_for(name))}\n")
