"""`docs/add-a-channel.md`: its commands are run in a copy of the project, what it names exists, its example works."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from deploy.demo.layout import ROOT
from tests.docs.pages import blocks, page
from tests.fakes.tree import Tree
from tests.figures.test_sizes import lines

pytestmark = pytest.mark.timeout(300)  # programs of their own that run the contract tests
PAGE = "docs/add-a-channel.md"
EXAMPLE = ROOT / "tests/docs/acmepay"


def first_step(root: Path) -> Tree:
    """A copy in which somebody did what the page says, to the end of its first step."""
    tree = Tree.copied_to(root)
    command, *arguments = shlex.split(blocks(PAGE, "sh")[0])
    assert command == ".venv/bin/python"
    done = tree.run(*arguments)
    assert done.returncode == 0, done.stderr
    return tree


def of_the_channel(tree: Tree) -> set[str]:
    return {name for name in tree.files() if name.startswith(("channels/acmepay/", "sandbox/acmepay/"))}


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return first_step(tmp_path_factory.mktemp("page") / "project")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The same to the end of the page: the example is what was written into the skeleton."""
    tree = first_step(tmp_path_factory.mktemp("example") / "project")
    skeleton = of_the_channel(tree)
    shutil.copytree(EXAMPLE, tree.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    assert all((EXAMPLE / name).is_file() for name in skeleton), "every file of the skeleton was filled in"
    return tree


def test_the_files_of_the_table_are_the_ones_written(followed: Tree) -> None:
    named = set(re.findall(r"^\| `((?:channels|sandbox)/acmepay/[a-z_]+\.py)` \|", page(PAGE), re.MULTILINE))
    assert named == {name for name in of_the_channel(followed) if not name.endswith("__init__.py")}


def test_the_second_command_tests_the_new_channel(followed: Tree) -> None:
    command, *arguments = shlex.split(blocks(PAGE, "sh")[1])
    assert command == ".venv/bin/pytest"
    done = followed.pytest(*arguments)
    assert (done.returncode, "NotImplementedError" in done.stdout) == (1, True), done.stdout[-2000:]


@pytest.mark.timeout(300)
def test_the_example_passes_all_that_the_second_command_asks_for(finished: Tree) -> None:
    _command, *arguments = shlex.split(blocks(PAGE, "sh")[1])

    done = finished.pytest(*arguments, seconds=280)

    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"^(\d+) passed", done.stdout, re.MULTILINE)
    assert passed, done.stdout[-500:]
    assert int(passed[1]) > 140, "every part of the contract was asked for"
    skipped = set(re.findall(r"^SKIPPED \[\d+\] (\S+):\d+: (.*)$", done.stdout, re.MULTILINE))
    assert {reason for _file, reason in skipped} == {"acmepay (standard) has no bills"}, "the page says so"
    assert {file for file, _reason in skipped} == {
        "tests/contract/test_bills.py", "tests/contract/test_reconciling.py",
    }  # fmt: skip


@pytest.mark.parametrize("check", [("ruff", "check"), ("mypy",)], ids=["ruff", "mypy"])
def test_the_example_passes_the_projects_own_checks(finished: Tree, check: tuple[str, ...]) -> None:
    done = finished.run("-m", *check, "channels/acmepay", "sandbox/acmepay")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_says_how_large_the_example_is() -> None:
    said = re.search(r"`channels/acmepay` is (\d+) lines, `sandbox/acmepay` (\d+)", page(PAGE))
    assert said
    measured = [sum(lines(path) for path in (EXAMPLE / side / "acmepay").glob("*.py")) for side in
                ("channels", "sandbox")]  # fmt: skip
    assert [int(size) for size in said.groups()] == measured


def test_what_the_page_says_the_base_carries_is_there() -> None:
    named = re.findall(r"^\| `(channels/base/\w+\.py)` \| (.*?) \|", page(PAGE), re.MULTILINE)
    assert len(named) > 4
    for path, words in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", words):
            assert re.search(rf"^ *(def|class) {name}\b", source, re.MULTILINE), f"{path} has no {name}"


def test_the_declarations_it_names_exist() -> None:
    source = "".join(Path(path).read_text() for folder in ("channels/base", "sandbox") for path in
                     (ROOT / folder).glob("*.py"))  # fmt: skip
    for name in (
        "signs_answers", "states_currency", "can_close", "masked_keys", "identity", "can_refund", "says_short_balance",
        "tells_failed_refunds",
    ):
        assert f"`{name}" in page(PAGE) or f"{name}=" in page(PAGE)
        assert re.search(rf"^    {name}: ", source, re.MULTILINE)
