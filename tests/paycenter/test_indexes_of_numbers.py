"""On PostgreSQL: what grows with every payment keeps one index of each of its numbers."""

from __future__ import annotations

import pytest
from django.db import connection, models

from cashier.models import CashierOrder
from notifications.models import Notification
from refunds.models import Refund
from trades.models import Attempt, Trade

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]


@pytest.mark.parametrize("model", [Trade, Attempt, CashierOrder, Notification, Refund])
def test_nothing_is_kept_for_searches_that_nobody_makes(model: type[models.Model]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [model._meta.db_table])
        found = [definition for (definition,) in cursor.fetchall()]
    assert [definition for definition in found if " UNIQUE " in definition]
    assert [definition for definition in found if "pattern_ops" in definition] == []
