"""Histories in several processes side by side, each with a database of its own and every so many-th history."""

from __future__ import annotations

import gc
import multiprocessing
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

from django.db import connection, connections

from tests.simulation import run, stage


def play_side_by_side(seconds: float, seed: str, workers: int) -> run.Score:
    """As `run.play_for`, by so many forked processes; `setup_databases(parallel=workers)` made their databases.

    The first one that finds something ends it for all. A worker that ends without a word raises EOFError.
    """
    gc.collect()
    gc.freeze()  # what is there already is no garbage, and looking through it costs every worker time
    if workers == 1:
        with stage.opened() as opened:
            return run.play_for(opened, seconds, seed)
    connections.close_all()
    if connection.vendor == "postgresql":
        connection.close_pool()  # type: ignore[attr-defined] - its threads do not survive a fork, and it knows one database
    begun = [_begin(seconds, seed, number, workers) for number in range(1, workers + 1)]
    try:
        return _together([answer for _process, answer in begun])
    finally:
        for process, _answer in begun:
            process.terminate()
            process.join()


def _begin(seconds: float, seed: str, number: int, workers: int) -> tuple[ForkProcess, Connection]:
    fork = multiprocessing.get_context("fork")
    answer, told = fork.Pipe(duplex=False)
    process = fork.Process(target=_work, args=(told, seconds, seed, number, workers), daemon=True)
    process.start()
    told.close()
    return process, answer


def _work(told: Connection, seconds: float, seed: str, number: int, workers: int) -> None:
    connection.settings_dict.update(connection.creation.get_test_db_clone_settings(str(number)))
    with stage.opened() as opened:
        told.send(run.play_for(opened, seconds, seed, first=number, every=workers))


def _together(answers: list[Connection]) -> run.Score:
    """What all of them played; no more than a failure once there is one."""
    total, left = run.Score(), list(answers)
    while left:
        for answer in wait(left):
            assert isinstance(answer, Connection)
            score = answer.recv()
            left.remove(answer)
            total.histories += score.histories
            total.steps += score.steps
            total.seconds = max(total.seconds, score.seconds)
            total.processor += score.processor
            if score.failure is not None:
                total.failure, total.broken, total.original = score.failure, score.broken, score.original
                return total
    return total
