"""Whatever happens, nothing secret of the account and nothing of the payer is stored or logged in clear."""

from __future__ import annotations

import io
import logging

import pytest

from merchants.api.errors import ChannelUnknown
from paycenter.errors import PaycenterError
from paycenter.http import time_limit
from paycenter.models import Event, Exchange
from tests.contract.cases import each_once
from tests.contract.office import Office
from tests.contract.secrets import identities, secrets_of, stored_text
from trades.calling import order_ref
from trades.models import Attempt, Trade
from trades.querying import attempt_query

# Where who paid has no place; the trade's and the attempt's own columns are what people look it up in.
OF_NO_PAYER = {"Exchange", "Event", "Alert", "Notification", "Delivery", "logs"}


def everything_goes_wrong(office: Office) -> None:
    """Payments, faults on every call, fakes of every kind, a return: all that writes something down."""
    for operation in ("pay", "query", "close"):
        for fault in ("bad_signature", "garbage", "http500"):
            office.desk.fault(operation, fault)
            try:
                attempt = office.start()
            except ChannelUnknown:
                attempt = Attempt.objects.latest("pk")
            with time_limit(1):
                attempt_query(attempt_id=attempt.pk, actor="test")
            office.desk.end_faults()
    attempt = office.start()
    for kind in ("forged", "unsigned", "other_merchant", "wrong_amount"):
        office.told(attempt, kind)
    paid = office.payer_pays(attempt)
    office.told(attempt, "normal")
    if paid["return_url"]:
        office.comes_back(paid["return_url"])
    attempt_query(attempt_id=attempt.pk, actor="test")
    assert Trade.objects.get(pk=attempt.trade_id).state == "paid"
    try:
        office.desk.provider.check()
    except PaycenterError as exc:
        logging.getLogger("test").error("the check failed: %s", exc)


@pytest.mark.parametrize("case", each_once(), ids=str)
def test_nothing_secret_is_left_anywhere(office: Office, log_text: io.StringIO) -> None:
    everything_goes_wrong(office)
    logging.getLogger("test").error("config %s", repr(office.account))

    assert Exchange.objects.count() > 4, "there is something to look at"
    assert OF_NO_PAYER - {"logs"} <= set(stored_text())
    assert Event.objects.exists()
    places = {**stored_text(), "logs": log_text.getvalue(), "repr": repr(office.desk.provider) + repr(office.account)}
    for secret in secrets_of(office.desk.case.provider, office.desk.config):
        for place, text in places.items():
            assert secret not in text, f"a secret parameter stands in {place}"
    for identity in payers_of(office):
        for place, text in places.items():
            assert place not in OF_NO_PAYER or identity not in text, f"the payer's identity stands in {place}"


def payers_of(office: Office) -> set[str]:
    """Who pays, as we told the channel and as the channel tells us."""
    paid = Attempt.objects.filter(state="succeeded").get()
    return identities(*office.desk.payer.values(), office.desk.provider.query(order_ref(paid)).payer_id)
