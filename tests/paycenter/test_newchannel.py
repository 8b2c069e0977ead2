"""`manage.py newchannel`, in a copy of the project: what it writes, refuses and leads to."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.fakes.tree import Tree

pytestmark = pytest.mark.timeout(300)  # programs of their own, some of which run the contract tests
WRITTEN = {
    "channels/zetapay/__init__.py", "channels/zetapay/fields.py", "channels/zetapay/gateway.py",
    "channels/zetapay/provider.py", "channels/zetapay/refunds.py", "channels/zetapay/zetapay_qr.py",
    "sandbox/zetapay/__init__.py", "sandbox/zetapay/channel.py", "sandbox/zetapay/contract.py",
}  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree.copied_to(tmp_path_factory.mktemp("channel") / "project")


@pytest.fixture(scope="module")
def generated(tree: Tree) -> Tree:
    """The tree with a new channel, whose name comes after `base` in every import."""
    before = tree.files()
    done = tree.run("manage.py", "newchannel", "zetapay")
    assert done.returncode == 0, done.stderr
    after = tree.files()
    assert set(after) - set(before) == WRITTEN
    assert {name: after[name] for name in before} == before, "no file that was there is touched"
    assert "pytest tests/contract" in done.stdout
    return tree


def test_the_contract_tests_say_what_is_left_to_write(generated: Tree) -> None:
    done = generated.pytest("tests/contract", "tests/channels/test_every_channel.py", "-k", "zetapay")

    assert done.returncode == 1, done.stdout[-2000:]
    for guidance in (
        "NotImplementedError: ask for an order that cannot exist", "NotImplementedError: send order.order_no, amount",
        "NotImplementedError: ask for order.order_no", "names no document of the vendor",
    ):  # fmt: skip
        assert guidance in done.stdout
    for broken in ("ImportError", "SyntaxError", "NameError", "AttributeError", "TypeError", " errors in "):
        assert broken not in done.stdout, "nothing is broken, only unwritten"
    assert re.search(r"^FAILED tests/contract/test_refunding", done.stdout, re.MULTILINE)
    assert not re.search(r"^SKIPPED .* tests/contract/test_refunding", done.stdout, re.MULTILINE), "it is not let off"


def test_forms_and_addresses_are_there_already_and_other_channels_do_not_mind(generated: Tree) -> None:
    files = ("tests/contract/test_offered.py", "tests/contract/test_source.py", "tests/contract/test_asking.py")
    done = generated.pytest(*files, "-k", "(zetapay and not test_asking) or alipay_qr")
    assert done.returncode == 0, done.stdout[-2000:]


def test_without_its_stand_in_the_contract_fails_in_one_clear_sentence(generated: Tree) -> None:
    stand_in, aside = generated.root / "sandbox" / "zetapay", generated.root.parent / "aside"
    shutil.move(stand_in, aside)
    try:
        done = generated.pytest("tests/contract/test_asking.py", "-k", "zetapay and nobody_placed")
    finally:
        shutil.move(aside, stand_in)
    assert done.returncode == 1
    assert "the contract of channels/zetapay cannot be tested: there is no stand-in for it" in done.stdout


@pytest.mark.parametrize("check", [("ruff", "check"), ("mypy",)], ids=["ruff", "mypy"])
def test_what_is_written_passes_the_projects_own_checks(generated: Tree, check: tuple[str, ...]) -> None:
    done = generated.run("-m", *check, "channels/zetapay", "sandbox/zetapay")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Acme", "3 to 16 lower-case letters and digits"), ("ab", "3 to 16"), ("1pay", "a letter first"),
        ("acme-pay", "lower-case letters and digits"), ("../../etc", "lower-case letters and digits"),
        ("a" * 17, "3 to 16"), ("lambda", "a word of Python's own"), ("alipay", "channels/alipay exists already"),
        ("base", "channels/base exists already"), ("control", "sandbox/control exists already"),
        ("store", "sandbox/store.py exists already"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_is_refused_in_words(tree: Tree, settings: object, name: str, why: str) -> None:
    before = tree.files()
    settings.BASE_DIR = tree.root  # type: ignore[attr-defined]
    with pytest.raises(CommandError, match=why):
        call_command("newchannel", name)
    assert tree.files() == before


def test_nothing_is_written_over(tree: Tree, settings: object) -> None:
    settings.BASE_DIR = tree.root  # type: ignore[attr-defined]
    written = tree.root / "channels" / "twice" / "provider.py"
    written.parent.mkdir()
    written.write_text("# months of work\n", encoding="utf-8")
    try:
        with pytest.raises(CommandError, match="channels/twice exists already"):
            call_command("newchannel", "twice")
        assert written.read_text(encoding="utf-8") == "# months of work\n"
        assert not (tree.root / "sandbox" / "twice").exists()
    finally:
        shutil.rmtree(written.parent)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, settings: object) -> None:
    settings.BASE_DIR = tmp_path  # type: ignore[attr-defined]
    (tmp_path / "channels").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("newchannel", "acmepay")
