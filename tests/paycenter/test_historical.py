"""What migrations build is forgotten again."""

from __future__ import annotations

from django.apps import apps
from django.db.migrations.loader import MigrationLoader
from django.db.models.signals import class_prepared


def test_models_of_history_listen_for_no_later_ones() -> None:
    state = MigrationLoader(None).project_state()
    before = len(class_prepared.receivers)
    trade = state.apps.get_model("trades", "Trade")
    assert len(class_prepared.receivers) == before
    assert trade is not apps.get_model("trades", "Trade")
    assert trade._meta.get_field("state").__class__.__name__ == "FSMField"
