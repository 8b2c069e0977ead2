"""The payer's browser comes back: it gets where it belongs, and never decides anything."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from channels.base import InboundRequest
from tests.contract.cases import every_case, scenes
from tests.contract.office import RETURN_URL, Office
from trades.models import AbnormalPayment, Attempt
from trades.querying import attempt_query

PAGES = {"redirect", "form"}
CLAIMS = ("", "result=SUCCESS&trade_status=TRADE_SUCCESS&status=PAID&resultIndicator=guessed", "sign=x&sign_type=RSA2")


@pytest.mark.parametrize("case", [c for c in every_case() if c.scene.instruction in PAGES], ids=str)
def test_the_payer_comes_back_to_the_app(office: Office) -> None:
    attempt = office.start()
    paid = office.payer_pays(attempt)
    assert paid["return_url"], "a page that a browser was sent to leads back"

    answer = office.comes_back(paid["return_url"])

    assert answer.status == 303, answer.body
    back = urlsplit(answer.headers["location"])
    assert answer.headers["location"].startswith(RETURN_URL.partition("?")[0])
    assert parse_qs(back.query)["trade_no"] == [attempt.trade.trade_no]
    trade, after = office.fresh(attempt)
    assert trade.state in ("paying", "confirming"), "coming back is no payment"
    due = after.next_query_at
    assert due is not None
    assert due <= timezone.now() + timedelta(seconds=1), "but the channel is asked now"
    attempt_query(attempt_id=attempt.pk, actor="test")
    assert office.fresh(attempt)[0].state == "paid"
    again = office.comes_back(paid["return_url"])
    assert (again.status, office.fresh(attempt)[0].state) == (303, "paid"), "an old return is harmless"


@pytest.mark.parametrize("claim", CLAIMS, ids=["bare", "boasting", "unsigned"])
@pytest.mark.parametrize("case", scenes(), ids=str)
def test_a_return_nobody_sent_pays_nothing(office: Office, claim: str) -> None:
    attempt = office.start()
    path = f"/return/{attempt.method}/{attempt.attempt_no}"
    form = {"content-type": "application/x-www-form-urlencoded"}
    for request in (
        InboundRequest(method="GET", path=path, query=claim),
        InboundRequest(method="POST", path=path, headers=form, body=claim.encode()),
    ):
        assert office.entrance.request(request).status in (200, 303, 400)
    assert office.fresh(attempt)[0].state in ("paying", "confirming")
    attempt_query(attempt_id=attempt.pk, actor="test")
    assert Attempt.objects.get().state == "submitted"
    assert not AbnormalPayment.objects.exists()


@pytest.mark.parametrize("case", [c for c in scenes() if c.scene.instruction in PAGES], ids=str)
def test_anothers_return_is_not_taken_for_ones_own(office: Office) -> None:
    """A payer who paid one order takes the proof to the address of another."""
    paid, other = office.start(), office.start()
    link = office.payer_pays(paid)["return_url"]
    office.comes_back(link)
    genuine = office.entrance.about(paid.attempt_no)[-1].request

    moved = genuine.path.replace(paid.attempt_no, other.attempt_no)
    answer = office.entrance.request(InboundRequest(
        method=genuine.method, path=moved, query=genuine.query, headers=genuine.headers, body=genuine.body
    ))  # fmt: skip

    assert answer.status in (200, 303, 400)
    attempt_query(attempt_id=other.pk, actor="test")
    assert office.fresh(other)[0].state in ("paying", "confirming")
    assert office.fresh(other)[1].channel_trade_no == other.channel_trade_no
