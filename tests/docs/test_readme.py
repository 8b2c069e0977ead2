"""The two READMEs say the same and name only what exists. Their example is run by `tests/demo`."""

from __future__ import annotations

import re

import pytest

from channels.base.discovery import methods
from deploy.demo.layout import ROOT, read
from tests.docs.pages import blocks, page

READMES = ("README.md", "README.zh-CN.md")


@pytest.mark.parametrize("language", ["python", "sh"])
def test_both_languages_show_the_same_commands(language):
    english, chinese = (blocks(name, language) for name in READMES)

    assert english == chinese != []


@pytest.mark.parametrize("name", READMES)
def test_the_methods_named_are_those_of_the_two_wallets(name):
    named = set(re.findall(r"`((?:alipay|wechat)_[a-z0-9_]+)`", page(name)))

    assert named == {code for code in methods() if code.startswith(("alipay_", "wechat_"))}


@pytest.mark.parametrize("name", READMES)
def test_every_make_target_named_exists(name):
    targets = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))

    assert set(re.findall(r"\bmake ([a-z-]+)$", page(name), re.MULTILINE)) <= targets


@pytest.mark.parametrize("name", READMES)
def test_every_setting_named_is_read_somewhere(name):
    source = "".join(path.read_text() for folder in ("paycenter", "deploy") for path in (ROOT / folder).rglob("*.py"))

    for setting in set(re.findall(r"`((?:PAYCENTER_)?[A-Z]+_[A-Z_]+)`", page(name))):
        assert f'"{setting}"' in source, f"{setting} is read nowhere"


def test_the_default_ports_are_the_documented_ones():
    layout = read({})

    for name in READMES:
        assert re.search(rf"\| {layout.port}(, |、){layout.sandbox_port} \|", page(name))


def test_the_make_help_lists_every_target():
    makefile = page("Makefile")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) - {"help"}

    assert set(re.findall(r'echo "make ([a-z-]+)', makefile)) == targets
