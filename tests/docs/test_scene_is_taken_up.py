"""The scene of `docs/add-a-scene.md`, in a copy of the project: one new file, and everything knows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import blocks, page
from tests.fakes.tree import Tree

pytestmark = pytest.mark.timeout(300)  # programs of their own that run the contract tests
SCENE = "alipay_embedded_qr"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """With the page's file, offered on computers so that the cashier has something to show."""
    made = Tree.copied_to(tmp_path_factory.mktemp("scene") / "project")
    (place,) = re.findall(r"^`(channels/[a-z_/]+\.py)`:$", page("docs/add-a-scene.md"), re.MULTILINE)
    (code,) = blocks("docs/add-a-scene.md", "python")
    code = code.replace("import Initiated,", "import Device, Initiated,")
    code = code.replace('"redirect"\n', '"redirect"\n    devices = frozenset({Device.PC})\n')
    assert "Device.PC" in code
    assert Path(place).stem == SCENE
    (made.root / place).write_text(code, encoding="utf-8")
    return made


def test_the_contract_tests_test_it_and_it_passes(tree: Tree) -> None:
    """Among them: cashier, account form and addresses (test_offered), notifications at /notify/<scene>/…"""
    before = tree.files()

    done = tree.pytest("-vv", "tests/contract", "tests/channels/test_every_channel.py", "-k", SCENE)

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    for name in (
        "test_the_channel_learns_what_was_ordered", "test_a_repeat_under_the_same_number", "test_a_paid_order",
        "test_sending", "test_the_genuine_one_pays", "test_a_false_one_changes_nothing", "test_the_payer_comes_back",
        "test_nothing_secret_is_left_anywhere", "test_the_cashier_offers_it", "test_the_account_form_and_page_offer_it",
        "test_it_has_its_addresses", "test_scene",
    ):  # fmt: skip
        assert re.search(rf"{name}\w*\[{SCENE}\S*\] PASSED", done.stdout), f"{name} did not look at the new scene"
    skipped = re.findall(r"^SKIPPED \[\d+\] \S+ (.*)", done.stdout, re.MULTILINE)
    assert skipped == ["a notice of alipay states no currency"]
    assert tree.files() == before


def test_a_scene_that_breaks_the_contract_is_caught(tree: Tree) -> None:
    """The same file, sending the amount in the wrong unit."""
    file = tree.root / "channels" / "alipay" / f"{SCENE}.py"
    right = file.read_text(encoding="utf-8")
    wrong = right.replace(
        'qr_pay_mode="4", qrcode_width=200)', 'qr_pay_mode="4", total_amount=f"{order.amount.minor}.00")'
    )
    assert wrong != right
    file.write_text(wrong, encoding="utf-8")
    try:
        done = tree.pytest("tests/contract/test_paying.py", "-k", SCENE)
    finally:
        file.write_text(right, encoding="utf-8")

    assert done.returncode == 1, done.stdout[-2000:]
    assert f"FAILED tests/contract/test_paying.py::test_the_channel_learns_what_was_ordered[{SCENE}" in done.stdout
