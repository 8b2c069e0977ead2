"""`docs/add-a-channel.md`: its commands are run in a copy of the project, and what it names exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from deploy.demo.layout import ROOT
from tests.docs.pages import blocks, page
from tests.fakes.tree import Tree

PAGE = "docs/add-a-channel.md"


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A copy in which somebody did what the page says, to the end of its first step."""
    tree = Tree.copied_to(tmp_path_factory.mktemp("page") / "project")
    command, *arguments = shlex.split(blocks(PAGE, "sh")[0])
    assert command == ".venv/bin/python"
    done = tree.run(*arguments)
    assert done.returncode == 0, done.stderr
    return tree


def test_the_files_of_the_table_are_the_ones_written(followed: Tree) -> None:
    named = set(re.findall(r"^\| `([a-z_/]+\.py)` \|", page(PAGE), re.MULTILINE))
    written = {name for name in followed.files() if "/acmepay/" in name}
    assert named == {name for name in written if not name.endswith("__init__.py")}


def test_the_second_command_tests_the_new_channel(followed: Tree) -> None:
    command, *arguments = shlex.split(blocks(PAGE, "sh")[1])
    assert command == ".venv/bin/pytest"
    done = followed.pytest(*arguments)
    assert (done.returncode, "NotImplementedError" in done.stdout) == (1, True), done.stdout[-2000:]


def test_the_declarations_it_names_exist() -> None:
    source = "".join(Path(path).read_text() for folder in ("channels/base", "sandbox") for path in
                     (ROOT / folder).glob("*.py"))  # fmt: skip
    for name in (
        "signs_answers", "states_currency", "can_close", "masked_keys", "identity", "can_refund", "says_short_balance",
        "tells_failed_refunds",
    ):
        assert f"`{name}" in page(PAGE) or f"{name}=" in page(PAGE)
        assert re.search(rf"^    {name}: ", source, re.MULTILINE)
