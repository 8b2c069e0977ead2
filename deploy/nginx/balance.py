"""`balance.py render SITE` prints nginx's configuration; `balance.py watch SITE` keeps its hosts as /readyz says.

nginx itself asks nobody whether he is ready. The watch does, once a second, and writes who is in front of whom into
the file UPSTREAMS; a host that says it is not ready gets no new request from then on, before anything is refused.
Runs under the system's Python with nothing but the standard library.
"""

from __future__ import annotations

import http.client
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent

HERE = Path(__file__).resolve().parent
_PLACE = re.compile(r"@\{(\w+)\}")
ENTRANCES = ("public", "internal", "portal")
INTERVAL = 1.0  # seconds between two looks
PATIENCE = 2.0  # seconds a host may take to answer
MISSES = 2  # looks in a row without an answer before a host is out; one that says it is not ready is out at once


def read_site(path: Path) -> dict[str, str]:
    """NAME=value lines. Raises OSError, ValueError."""
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            name, equals, value = text.partition("=")
            if not equals:
                raise ValueError(f"{path}, line {number}: not NAME=value")
            found[name.strip()] = value.strip()
    return found


def servers(site: Mapping[str, str]) -> dict[str, list[str]]:
    """host:port by entrance, for those that have any."""
    found = {}
    for entrance in ENTRANCES:
        named = [one.strip() for one in site.get(f"{entrance.upper()}_SERVERS", "").split(",") if one.strip()]
        if named:
            found[entrance] = named
    return found


def render(site: Mapping[str, str]) -> str:
    """The configuration of every entrance that has servers. Raises ValueError naming what is not set."""
    text = _template("paycenter.conf")
    if "portal" in servers(site):
        text += "\n" + _template("portal.conf")
    _about, _empty, common = _template("common.conf").partition("\n\n")
    text = text.replace("    @{COMMON}\n", indent(common, "    "))
    missing = sorted({name for name in _PLACE.findall(text) if not site.get(name)})
    if missing:
        raise ValueError(f"not set: {', '.join(missing)}")
    return _PLACE.sub(lambda found: site[found[1]], text)


def _template(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def upstreams(hosts: Mapping[str, Sequence[str]], out: Iterable[tuple[str, str]] = ()) -> str:
    """nginx's `upstream` blocks; `out` are (entrance, host:port) that get no requests. Where all of an entrance are
    out, all stay in: a wrong look must not do what no outage did."""
    lines, away = [], set(out)
    for entrance, named in hosts.items():
        absent = {one for one in named if (entrance, one) in away}
        if len(absent) == len(named):
            absent = set()
        lines.append(f"upstream paycenter_{entrance} {{")
        lines += [f"    server {one} max_fails=3 fail_timeout=5s{' down' * (one in absent)};" for one in named]
        # Shorter than the 30 s after which the web server itself closes an idle connection.
        lines += ["    keepalive 32;", "    keepalive_timeout 15s;", "}"]
    return "\n".join(lines) + "\n"


def is_ready(server: str, name: str) -> bool | None:
    """What /readyz of host:port says, asked under the entrance's name; None where nothing answers."""
    host, _colon, port = server.rpartition(":")
    link = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        link.request("GET", "/readyz", headers={"Host": name})
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return None
    finally:
        link.close()


@dataclass
class Watch:
    """Looks, and writes UPSTREAMS and reloads nginx when something changed."""

    site: Mapping[str, str]
    misses: dict[tuple[str, str], int] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def look(self) -> bool:
        """One look at every host; whether nginx was told something new."""
        hosts = servers(self.site)
        every = [(entrance, one) for entrance, named in hosts.items() for one in named]
        with ThreadPoolExecutor(len(every)) as pool:
            answers = list(pool.map(lambda each: is_ready(each[1], self.site[f"{each[0].upper()}_NAME"]), every))
        for each, answer in zip(every, answers, strict=True):
            self.misses[each] = 0 if answer else MISSES if answer is False else self.misses.get(each, 0) + 1
        return self._tell(upstreams(hosts, [each for each in every if self.misses[each] >= MISSES]))

    def _tell(self, text: str) -> bool:
        path = Path(self.site["UPSTREAMS"])
        if path.exists() and path.read_text() == text:
            return False
        scratch = path.with_name(f".{path.name}")
        scratch.write_text(text)
        scratch.replace(path)
        done = subprocess.run(shlex.split(self.site["RELOAD"]), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"nginx was not reloaded: {done.stderr.strip()[-300:]}", file=sys.stderr, flush=True)
            path.unlink()  # so that the next look tries again
            return False
        down = re.findall(r"server (\S+) .*down;", text)
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} out: {', '.join(down) or 'nobody'}", flush=True)
        return True

    def run(self) -> None:
        """Until `ended`."""
        while not self.ended.is_set():
            self.look()
            self.ended.wait(INTERVAL)


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ("render", "upstreams", "watch"):
        print("usage: balance.py render|upstreams|watch SITE", file=sys.stderr)
        return 2
    try:
        site = read_site(Path(arguments[1]))
        if arguments[0] == "watch":
            Watch(site).run()
        else:
            sys.stdout.write(render(site) if arguments[0] == "render" else upstreams(servers(site)))
    except (OSError, ValueError) as exc:
        print(exc, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + 2
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
