"""The fuzzer for some seconds against the center as it is, and against defects that were planted."""

from __future__ import annotations

import base64
import itertools
import json
import os
import pickle
import secrets
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from channels.base import ContractMethod, InboundRequest, NoticeKind
from channels.base.discovery import methods_of, provider_for, providers
from channels.base.reading import Unreadable
from paycenter.errors import MalformedInbound
from paycenter.http import HttpClient
from tests.contract.cases import NO_STAND_IN, Case, channels
from tests.fuzz import census, engine
from tests.fuzz.__main__ import ROOT
from tests.fuzz.everything import pure_targets
from tests.fuzz.mutation import mutate
from tests.fuzz.oracle import Broken, require_storable
from tests.fuzz.samples import Sampled, sample_all
from tests.fuzz.target import Target
from tests.fuzz.web_targets import NAMES, moved, site, web_targets
from tests.fuzz.wire import pack_request, unpack_request

SECONDS = float(os.environ.get("PAYCENTER_FUZZ_SECONDS", "2.5"))


@pytest.fixture(scope="module")
def seed() -> str:
    """What decides this run: its channel, the order of its targets, and what is done to their messages."""
    return os.environ.get("PAYCENTER_FUZZ_SEED") or str(secrets.randbelow(1_000_000))


@pytest.fixture(scope="module")
def sampled(seed: str, tmp_path_factory: pytest.TempPathFactory) -> list[Sampled]:
    """One channel with the first kind of contract: making the keys of all of them takes longer than this slice."""
    chosen = _chosen(seed)
    return sample_all(tmp_path_factory.mktemp("fuzz-sandbox"), lambda case: _is(case, chosen))


def _chosen(seed: str) -> Case:
    return Random(f"channel:{seed}").choice(channels())


def _is(case: Case, chosen: Case) -> bool:
    return (case.channel, case.mode) == (chosen.channel, chosen.mode)


def _kept(seed: str, sampled: list[Sampled], scores: list[engine.Score]) -> list[Path]:
    """What was found, and the messages it was made of, as `make fuzz` leaves them: the keys are others next time."""
    folder = ROOT / "var" / "fuzz" / seed
    written = [path for score in scores for path in engine.write(score, folder)]
    if written:
        (folder / "samples.pickle").write_bytes(pickle.dumps(sampled))
    return written


def test_spoiled_messages_are_refused_in_declared_words(
    seed: str, sampled: list[Sampled], record_property: Any
) -> None:  # fmt: skip
    made = pure_targets(sampled)
    names = Random(seed).sample(sorted(made), len(made))
    scores: list[engine.Score] = []
    end = time.monotonic() + SECONDS
    for left, name in zip(range(len(names), 0, -1), names, strict=True):
        scores.append(engine.play(made[name](), seed, seconds=max(end - time.monotonic(), 0.01) / left, most=400))
    found = [f"{score.target}: {finding}" for score in scores for finding in score.findings.values()]
    tried = sum(score.tried for score in scores)
    record_property("summary", f"fuzz, seed {seed} ({sampled[0].name}): {tried} inputs to {len(scores)} parsers")
    kept = _kept(seed, sampled, scores)
    assert not found, f"seed {seed}: {found[0]}\nmake fuzz INPUT={kept[0]}"
    assert all(score.tried for score in scores)


def test_every_channel_has_targets_and_no_target_was_listed(sampled: list[Sampled]) -> None:
    contract = sampled[0]
    wanted = {"notice", "notice-believed", "return", "answer", "answer-believed", "account"}
    if any(isinstance(scene, ContractMethod) for scene in methods_of(contract.channel)):
        wanted |= {"contract-notice", "contract-notice-believed"}
    provider = provider_for(contract.channel)(contract.config, http=HttpClient())
    wanted |= {"bill"} if provider.bill_rule() is not None else set()
    names = {name.removeprefix(f"{contract.name}.") for name in pure_targets(sampled) if name.startswith(contract.name)}
    assert wanted <= names
    assert contract.notices
    assert {asked.name for asked in contract.asked} >= {"check", "query"}


def test_every_parser_of_foreign_bytes_is_a_target_s(sampled: list[Sampled]) -> None:
    """A provider's parsers by themselves, those of whole requests and what is no stranger's by one line each.

    What channels have in common is reached by those that use it.
    """
    others = ["channels/base/", *(f"channels/{c}/" for c in providers() if c != sampled[0].channel)]
    there = {name for name in census.parsers() if not name.startswith(tuple(others))}
    found = census.reached(make() for make in pure_targets(sampled).values())
    assert there - found - census.REQUESTS.keys() - census.OURS == set(), "nobody tries these"
    assert (census.REQUESTS.keys() | census.OURS) - there == set(), "these are no more"
    assert set(census.REQUESTS.values()) <= set(NAMES)


def test_every_provider_has_a_stand_in_to_be_sampled() -> None:
    assert [str(case) for case in channels() if case.mode == NO_STAND_IN] == []


# ---- would it notice? ------------------------------------------------------------------------------
def parser_of(defect: str) -> Target:
    """A small parser as channels have them, right or with one defect planted."""
    genuine = {"order": "A1", "amount": 100, "sign": "right"}

    def parse(request: InboundRequest) -> tuple[NoticeKind, str]:
        try:
            found = json.loads(request.body)
            if not isinstance(found, dict) or not isinstance(found.get("order"), str):
                raise Unreadable("no order")
        except ValueError as exc:
            raise MalformedInbound("not JSON") from exc
        except RecursionError as exc:
            if defect == "recursion":
                raise
            raise MalformedInbound("nested too deeply") from exc
        if "\0" in found["order"] and defect == "nul":
            require_storable(found["order"])
        if defect != "forged" and found != genuine:
            raise MalformedInbound("the signature is wrong")
        if defect == "amount":
            found["amount"] + "x"
        return NoticeKind.PAYMENT, found["order"]

    def run(data: bytes) -> str:
        try:
            kind, order = parse(unpack_request(data))
        except MalformedInbound as exc:
            return f"refused {exc}"
        if order != "A1":
            raise Broken("believed, though nobody signed it")
        return f"understood {kind}"

    request = InboundRequest(method="POST", path="/notify", body=json.dumps(genuine).encode())
    return Target(f"planted-{defect}", (pack_request(request),), run)


@pytest.mark.parametrize("defect", ["recursion", "forged", "amount", "nul"])
def test_a_planted_defect_is_found(defect: str, tmp_path: Path) -> None:
    score = engine.play(parser_of(defect), "7", seconds=20, most=4000, findings=1)
    assert score.findings, f"{score} and the defect was not found"
    written = engine.write(score, tmp_path)
    assert [path.read_bytes() for path in written] == [f.data for f in score.findings.values()]
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever was planted
        parser_of(defect).run(written[0].read_bytes())


def test_the_right_parser_is_left_alone() -> None:
    score = engine.play(parser_of("none"), "7", seconds=20, most=500)
    assert (score.tried, score.findings) == (500, {})


def test_what_takes_too_long_or_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_SECONDS", 0.01)
    monkeypatch.setattr(engine, "HOPELESS_SECONDS", 0.1)
    peak = itertools.chain([0, 0, engine.MOST_MEMORY + 1], itertools.repeat(0))

    def run(data: bytes) -> str:
        if data == b"endless":
            while True:
                pass
        if data == b"slow":
            began = time.process_time()
            while time.process_time() - began < 0.03:
                pass
        if data == b"large":
            monkeypatch.setattr(engine, "_peak", lambda: next(peak))
        return "read"

    kinds = set()
    for data in (b"endless", b"slow", b"large", b"good"):
        found = engine.play(Target("t", (data, data), run), "1", seconds=5, most=2).findings
        kinds |= {(data, kind.partition(" ")[0]) for kind in found}
    assert {(b"endless", "TooSlow"), (b"slow", "slow"), (b"large", "large")} <= kinds
    assert not [kind for data, kind in kinds if data == b"good"]


def test_one_seed_is_one_channel() -> None:
    """And another one is another, or some channel would never be tried."""
    assert _chosen("7") == _chosen("7")
    assert len({_chosen(str(number)).channel for number in range(200)}) == len({case.channel for case in channels()})


def test_an_input_of_one_site_is_the_same_request_at_another(db: None) -> None:
    """What is found about whole requests can be tried again, though every number of the site is new."""
    with site() as made:
        seeds, numbers = web_targets(made)["web-payer"]().seeds, made.numbers
    with site() as other:
        target = web_targets(other)["web-payer"]()
        assert target.run(seeds[0]).startswith("refused 404"), "as it was written"
        assert target.run(moved(seeds[0], numbers, other)).startswith("understood")


def test_one_seed_is_one_run() -> None:
    one, two = (engine.play(parser_of("forged"), "3", seconds=20, most=200) for _ in range(2))
    assert (one.outcomes, list(one.findings)) == (two.outcomes, list(two.findings))


def test_mutants_reach_inside_what_is_packed() -> None:
    """A value inside base64 inside JSON inside a message changes while everything around it stays well-formed."""
    inner = base64.b64encode(json.dumps({"state": "SUCCESS", "total": 100}).encode()).decode()
    message = b"POST /n\r\nx: y\r\n\r\n" + json.dumps({"resource": {"ciphertext": inner}}).encode()
    random, seen = Random(1), set()
    for _try in range(2000):
        body = unpack_request(mutate(message, random)).body
        try:
            seen.add(str(json.loads(base64.b64decode(json.loads(body)["resource"]["ciphertext"], validate=True))))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    assert len(seen) > 20
