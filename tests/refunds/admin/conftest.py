"""Finance at their desks, and refunds in every state a page can show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from merchants.models import User
from refunds.models import Refund
from tests.fakes.staff import make_staff, signed_in
from tests.refunds.conftest import ask, policy, staff, trade  # noqa: F401

LIST = "/admin/refunds/refund/"
DECIDE = {"reason": "checked the contract"}


@dataclass
class Desk:
    """One person's browser, with what is done on the refund pages."""

    user: User
    client: Client

    def list(self, **query: str) -> str:
        return self.client.get(LIST, query).content.decode()

    def page(self, refund: Refund) -> str:
        return self.client.get(f"{LIST}{refund.pk}/change/").content.decode()

    def act(self, refund: Refund, act: str, **data: Any) -> str:
        """Press a button on the page; the page that comes after it."""
        given = {**DECIDE, "amount": str(refund.amount), **data}
        answer = self.client.post(f"{LIST}{refund.pk}/act/{act}/", given, follow=True)
        return answer.content.decode()

    def bulk(self, decision: str, *refunds: Refund, **data: Any) -> str:
        chosen = [f"{r.pk}:{r.amount}" for r in refunds]
        given = {**DECIDE, "decision": decision, "refund": chosen, **data}
        return self.client.post(f"{LIST}bulk/", given, follow=True).content.decode()

    def post(self, refund: Refund, view: str, data: Any = None) -> Any:
        return self.client.post(f"{LIST}{refund.pk}/{view}/", data or {}, follow=True)


@pytest.fixture
def desk(db: None) -> Callable[..., Desk]:
    """Somebody of a role, signed in."""

    def make(name: str = "fin", role: str = "finance", **values: Any) -> Desk:
        user = make_staff(role, username=name, **values)
        return Desk(user, signed_in(user))

    return make
