"""`make test` is only as good as its way of saying no."""

from __future__ import annotations

import re
import tomllib

import pytest

from channels.base import discovery
from deploy.checks import __main__ as checks
from deploy.checks import services
from deploy.demo.layout import ROOT


@pytest.fixture
def steps(monkeypatch):
    """What would be run, instead of running it: (name, command, environment)."""
    ran = []

    def step(name, command, environment=None, also_good=0):
        ran.append((name, list(map(str, command)), dict(environment or checks._environment())))
        return name, True, 0.0

    monkeypatch.setattr(checks, "_step", step)
    return ran


@pytest.fixture
def no_servers(monkeypatch):
    def missing():
        raise services.Unavailable("not installed")

    monkeypatch.setattr(services, "postgres", missing)
    for name in ("TEST_DATABASE_URL", "TEST_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("folder", checks.WITHOUT_DATABASE)
def test_what_is_not_run_on_both_databases_asks_for_none(folder):
    asks = re.compile(r"django_db|\b(transactional_db|committed_world|world|db)\b\s*[:,)]")
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert [path.name for path in files if asks.search(path.read_text(encoding="utf-8"))] == []


def test_one_failure_fails_the_run(capsys):
    assert checks._summary([("lint", True, 1.0), ("tests", False, 2.0)]) == 1
    assert checks._summary([("lint", True, 1.0)]) == 0
    assert "FAILED      2.0 s  tests" in capsys.readouterr().out


def test_a_command_that_fails_is_a_failure():
    assert checks._step("x", ["false"])[1] is False
    assert checks._step("x", ["true"])[1] is True


def test_the_developers_own_database_is_never_tested_on(steps, no_servers, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://the-real-one")
    monkeypatch.setenv("REDIS_URL", "redis://the-real-one")

    checks.test([])

    assert len(steps) >= 5
    assert not any("the-real-one" in str(environment) for _n, _c, environment in steps)


@pytest.mark.parametrize(("ci", "passes"), [("true", False), ("", True)])
def test_a_build_machine_must_not_pass_without_the_real_servers(steps, no_servers, monkeypatch, capsys, ci, passes):
    monkeypatch.setenv("CI", ci)

    ((name, passed, _seconds),) = checks._real_servers([])

    assert passed is passes
    assert "not run: not installed" in name
    assert "NOT RUN" in capsys.readouterr().out
    assert steps == []


def test_what_runs_once_is_there() -> None:
    """A name that fits nothing would leave out nothing, and nobody would see it."""
    for name in (*checks.WITHOUT_DATABASE, *checks.RUN_ONCE):
        file, _mark, test = name.partition("::")
        assert (ROOT / file).exists(), name
        assert not test or f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), name


def test_given_servers_are_used(steps, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", "postgres://given")
    monkeypatch.setenv("TEST_REDIS_URL", "redis://given/0")

    checks._real_servers(["-k", "x"])

    assert len(steps) == 2
    for _name, command, environment in steps:
        assert command[-2:] == ["-k", "x"]
        assert (environment["DATABASE_URL"], environment["REDIS_URL"]) == ("postgres://given", "redis://given/0")


def test_those_held_to_the_clock_run_by_themselves_after_the_others(steps):
    checks.pytest("tests", [], {})

    (_name, together, _environment), (_name, alone, _environment) = steps
    assert together[together.index("-m") + 1] == "not clock"
    assert "-n" in together
    assert alone[alone.index("-m") + 1] == "clock"
    assert "-n" not in alone


def test_arguments_that_select_no_test_of_the_second_run_are_no_failure():
    nothing = ["sh", "-c", f"exit {checks.NOTHING_SELECTED}"]
    assert checks._step("x", nothing, also_good=checks.NOTHING_SELECTED)[1] is True
    assert checks._step("x", nothing)[1] is False
    assert checks._step("x", ["false"], also_good=checks.NOTHING_SELECTED)[1] is False


def test_every_check_of_the_list_is_run(steps, no_servers):
    checks.test([])

    names = [name for name, _command, _environment in steps]
    assert names == [
        "ruff", "mypy", "import rules", "migrations match the models",
        "tests on SQLite", "tests on SQLite, by the clock",
    ]  # fmt: skip


def test_the_rule_that_providers_are_independent_names_them_all():
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rule,) = (rule for rule in rules if rule["type"] == "independence")

    assert set(rule["modules"]) == {package.__name__ for package in discovery._provider_packages()}
