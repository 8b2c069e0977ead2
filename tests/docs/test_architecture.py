"""`docs/architecture.md` shows the states that the code has."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from paycenter.management.commands import state_diagrams
from tests.docs.pages import page
from trades.models import Attempt, Trade


def test_the_diagrams_are_those_of_the_code():
    call_command("state_diagrams", "--check")


def test_a_changed_state_machine_would_be_noticed(monkeypatch, tmp_path, settings):
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    stale = page("docs/architecture.md").replace("waiting --> paid: pay", "waiting --> paid: pay_quickly")
    assert stale != page("docs/architecture.md")
    (tmp_path / "docs" / "architecture.md").write_text(stale)
    monkeypatch.setattr(state_diagrams, "diagrams", lambda: _present())

    with pytest.raises(CommandError, match="make diagrams"):
        call_command("state_diagrams", "--check")
    call_command("state_diagrams", "--write")
    call_command("state_diagrams", "--check")
    assert (tmp_path / "docs" / "architecture.md").read_text() == page("docs/architecture.md")


def _present() -> str:
    return page("docs/architecture.md").split(state_diagrams.BEGIN)[1].split(state_diagrams.END)[0].strip()


def test_every_change_of_a_trade_is_an_arrow():
    out = StringIO()
    call_command("state_diagrams", stdout=out)

    section = out.getvalue().split("### Trade\n")[1].split("### ")[0]
    assert "[*] --> waiting" in section
    assert "closed --> paid: accept_late_money" in section
    assert "paid --> [*]" in section
    assert not re.search(r"^    paid --> [a-z]", section, re.MULTILINE), "paid is never left"


@pytest.mark.parametrize("model", [Trade, Attempt])
def test_arrows_agree_with_django_fsm(model):
    field = model._meta.get_field("state")

    drawn = set(state_diagrams.arrows(model, field))

    assert drawn == {(str(t.source), str(t.target), t.name) for t in field.get_all_transitions(model)}


def test_models_that_share_a_state_machine_all_show_it():
    drawn = {model.__name__: state_diagrams.arrows(model, field) for model, field in state_diagrams.machines()}

    assert drawn["Merchant"] == drawn["PaymentAccount"] != []


def test_links_between_the_pages_lead_somewhere():
    from deploy.demo.layout import ROOT

    pages = [ROOT / "README.md", ROOT / "README.zh-CN.md", *(ROOT / "docs").rglob("*.md")]
    for path in pages:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}, which does not exist"
