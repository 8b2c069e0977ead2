"""What the soak takes for left to do: every column that says when work is due."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.apps import apps
from django.utils import timezone

from deploy.soak.duties import DUTIES, due_rows
from notifications.models import Alert
from reconciliation.models import Bill
from tests.conftest import World


def test_no_column_of_due_times_is_left_out() -> None:
    there = {
        (model._meta.label, field.name)
        for model in apps.get_models()
        if not model.__module__.startswith("tests.") and not hasattr(model, "history_object")
        for field in model._meta.concrete_fields
        if field.name == "due_at" or (field.name.startswith("next_") and field.name.endswith("_at"))
    }
    assert {(duty.model, column) for duty in DUTIES for column in duty.columns} == there


@pytest.mark.django_db
def test_whatever_waits_is_left_due_and_what_rightly_comes_later_is_not(world: World) -> None:
    assert due_rows() == {}
    soon, past = timezone.now() + timedelta(hours=1), timezone.now() - timedelta(seconds=1)
    Alert.objects.create(kind="backlog", key="k", title="t", created_at=past, last_at=past, next_send_at=soon)
    bill = Bill.objects.create(account=world.account, day=date(2026, 11, 26), next_fetch_at=soon)
    assert due_rows() == {"alerts to tell": 1}
    Bill.objects.filter(pk=bill.pk).update(next_fetch_at=past)
    assert due_rows() == {"alerts to tell": 1, "bills to fetch": 1}
    Bill.objects.filter(pk=bill.pk).update(next_fetch_at=None, next_import_at=soon)
    assert due_rows() == {"alerts to tell": 1, "bills to read": 1}
