"""What is posted to a staff page that fails stands in no report and no log line."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils.log import AdminEmailHandler

from merchants.people.invitations import invitation_issue
from paycenter.logging import formatter
from tests import factories
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in

SECRET = "Zq7-very-secret-9xK"


@pytest.fixture
def reports(settings: Any) -> Iterator[Any]:
    """Everything that was mailed to the administrators, with the variables of every frame, or logged."""
    settings.ADMINS = [("Root", "root@example.com")]
    stream = io.StringIO()
    lines, mails = logging.StreamHandler(stream), AdminEmailHandler(include_html=True)
    lines.setFormatter(formatter())
    logger = logging.getLogger("django.request")
    for handler in (lines, mails):
        logger.addHandler(handler)
    yield lambda: stream.getvalue() + "".join(m.body + str(m.alternatives) for m in mail.outbox)
    for handler in (lines, mails):
        logger.removeHandler(handler)


def fails(*_args: Any, **_kwargs: Any) -> Any:
    raise RuntimeError("a bug")


@pytest.mark.parametrize("place", ["parameters", "person", "login", "join"])
def test_a_failing_page_reports_nothing_that_was_typed(
    world: World, reports: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    operator, clerk = make_staff("operator"), make_staff("merchant", merchant=world.merchant, username="li.na")
    draft = factories.make_account(world.merchant, state="draft")
    link = invitation_issue(person=clerk, by=operator)
    broken, address, posted = {
        "parameters": ("merchants.admin.account.account_update_config",
                       f"/admin/merchants/paymentaccount/{draft.pk}/config/",
                       {"config-merchant": "m", "config-secret": SECRET}),
        "person": ("merchants.people.services.staff_update", f"/admin/merchants/user/{clerk.pk}/change/",
                   {"role": "merchant", "merchant": world.merchant.pk, "reason": SECRET}),
        "login": ("paycenter.staff.login.flooded", "/admin/login/", {"username": "li.na", "password": SECRET}),
        "join": ("merchants.admin.joining.invitation_accept", f"/admin/merchants/user/join/{link}/",
                 {"new_password1": SECRET, "new_password2": SECRET}),
    }[place]  # fmt: skip
    monkeypatch.setattr(broken, fails)
    client = Client() if place in ("login", "join") else signed_in(operator)
    client.raise_request_exception = False
    assert client.post(address, posted).status_code == 500
    told = reports()
    assert "a bug" in told
    assert SECRET not in told
    assert link not in "".join(line for line in told.splitlines() if line.startswith("{"))
