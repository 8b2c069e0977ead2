"""Processor time: of everything this measurement started, and of whatever else runs on the machine (Linux)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Used:
    """Processors kept busy on average: 1.5 is one and a half of them."""

    ours: float
    others: float


class Processor:
    """Counts from its making."""

    def __init__(self) -> None:
        self._began, self._ours, self._all = time.monotonic(), seconds_of_tree(os.getpid()), _of_machine()

    def used(self) -> Used:
        """Since the making."""
        seconds = time.monotonic() - self._began
        ours = seconds_of_tree(os.getpid()) - self._ours
        return Used(ours / seconds, max(_of_machine() - self._all - ours, 0.0) / seconds)


def _of_machine() -> float:
    """Seconds that all processors together were busy since the start of the machine."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _iowait, irq, softirq = (int(word) for word in file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / _TICK


def seconds_of_tree(root: int) -> float:
    """Seconds used by a process and its descendants, ended ones included."""
    parents, seconds = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # ended meanwhile
            parents[int(folder.name)] = int(fields[1])
            seconds[int(folder.name)] = sum(int(field) for field in fields[11:15]) / _TICK
    return sum(used for pid, used in seconds.items() if _descends(pid, root, parents))


def milliseconds_of(pid: int) -> float:
    """Milliseconds used by one process of one thread; finer than `seconds_of_tree`, which counts in ticks."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def _descends(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid != root and pid in parents:
        pid = parents[pid]
    return pid == root
