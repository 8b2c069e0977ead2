"""Fee rates and settlement terms: asked for in percent and money, in effect once somebody else confirmed."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.utils import timezone

from merchants.changes import change_confirm
from merchants.models import ChangeRequest, User
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from reconciliation.settlement.changing import rate_change_request, terms_change_request
from reconciliation.settlement.models import FeeRate, SettlementCalendar, SettlementTerms
from reconciliation.settlement.rates import rates_of
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff, signed_in

pytestmark = pytest.mark.usefixtures("in_english")

RATES, TERMS = "/admin/reconciliation/feerate/", "/admin/reconciliation/settlementterms/"
CHANGES = "/admin/merchants/changerequest/"
DAY = date(2026, 12, 1)
VALUES = {"ppm": 3800, "rounding": "half_up", "fixed": 0, "least": 0, "most": None}


@pytest.fixture
def ann(db: None) -> User:
    return make_staff("finance", username="ann")


@pytest.fixture
def bob(db: None) -> User:
    return make_staff("finance", username="bob")


def ask(world: World, user: User, **values: Any) -> ChangeRequest:
    return rate_change_request(account=world.account, method="fake_qr", from_day=DAY, values={**VALUES, **values},
                               user=user, reason="the new contract")  # fmt: skip


def decide(user: User, act: str) -> str:
    url = f"{CHANGES}{ChangeRequest.objects.get().pk}/decide/{act}/"
    return signed_in(user).post(url, {"reason": "contract seen"}, follow=True).content.decode()


def form(world: World, **values: Any) -> dict[str, Any]:
    return {"account": world.account.pk, "method": "fake_qr", "from_day": str(DAY), "ratio": "0.38",
            "rounding": "half_up", "fixed": "", "least": "0.01", "most": "", "reason": "the new contract",
            **values}  # fmt: skip


def test_a_rate_counts_from_the_second_persons_word_on(world: World, ann: User, bob: User) -> None:
    FeeRate.objects.create(account=world.account, from_day=date(2026, 1, 1), ppm=6000)
    page = signed_in(ann).post(f"{RATES}add/", form(world), follow=True).content.decode()
    assert "It takes effect once somebody else" in page
    assert rates_of(world.account, DAY)["fake_qr"].ppm == 6000
    page = signed_in(bob).get(f"{CHANGES}{ChangeRequest.objects.get().pk}/change/").content.decode()
    assert "<del>0.6 %</del>" in page
    assert "<ins>0.38 %</ins>" in page
    assert "Somebody else has to confirm" in decide(ann, "confirm")
    assert "Done." in decide(bob, "confirm")
    assert rates_of(world.account, DAY)["fake_qr"].least == 1
    assert rates_of(world.account, date(2026, 11, 30))["fake_qr"].ppm == 6000
    assert Event.objects.get(type="feerate.saved").actor == "staff:bob"


def test_a_rejected_rate_leaves_everything_as_it_was(world: World, ann: User, bob: User) -> None:
    ask(world, ann)
    decide(bob, "reject")
    assert not FeeRate.objects.exists()


def test_a_comment_keeps_no_byte_that_the_database_refuses(world: World, ann: User, bob: User) -> None:
    change = ask(world, ann)
    signed_in(bob).post(f"{CHANGES}{change.pk}/decide/reject/", {"reason": "no\x00thing new"})
    assert fresh(change).comment == "nothing new"


def test_a_rate_that_changed_meanwhile_is_not_confirmed(world: World, ann: User, bob: User) -> None:
    change = ask(world, ann)
    FeeRate.objects.create(account=world.account, from_day=DAY, ppm=5000)
    with pytest.raises(TransitionRefused, match="changed after this request"):
        change_confirm(change=change, user=bob)


def test_one_request_at_a_time_for_a_method_and_a_day(world: World, ann: User) -> None:
    ask(world, ann)
    with pytest.raises(TransitionRefused, match="waiting"):
        ask(world, ann, ppm=1)
    rate_change_request(account=world.account, method="", from_day=DAY, values=VALUES, user=ann, reason="all others")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ppm": 1_000_001}, "100 %"), ({"least": 5, "most": 4}, "at least"), (VALUES, "Nothing was changed"),
        ({"fixed": -1}, "out of range"), ({"least": -1}, "out of range"),
        ({"least": -2, "most": -1}, "out of range"), ({"most": 2**31}, "out of range"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(world: World, ann: User, values: dict[str, Any], words: str) -> None:
    FeeRate.objects.create(account=world.account, from_day=DAY, **VALUES)
    with pytest.raises(TransitionRefused, match=words):
        ask(world, ann, **values)


@pytest.mark.parametrize("changed", [{"ratio": "-1"}, {"ratio": "101"}, {"method": "alipay_page"}, {"reason": ""}])
def test_the_form_says_what_is_wrong(world: World, ann: User, changed: dict[str, str]) -> None:
    assert "errorlist" in signed_in(ann).post(f"{RATES}add/", form(world, **changed)).content.decode()
    assert not ChangeRequest.objects.exists()


@pytest.mark.parametrize("role", ["auditor", "operator", "service"])
def test_only_finance_asks(world: World, role: str) -> None:
    client = signed_in(make_staff(role))
    for url in (RATES, TERMS):
        assert client.post(f"{url}add/", form(world)).status_code == 403
    with pytest.raises(TransitionRefused):
        ask(world, make_staff(role, username="another"))


def test_a_rate_is_asked_for_anew_from_its_page(world: World, ann: User) -> None:
    rate = FeeRate.objects.create(account=world.account, from_day=timezone.localdate(), ppm=2500, fixed=150)
    client = signed_in(ann)
    assert f"{RATES}add/?replaces={rate.pk}" in client.get(f"{RATES}{rate.pk}/change/").content.decode()
    page = client.get(f"{RATES}add/", {"replaces": rate.pk}).content.decode()
    assert 'value="0.25"' in page
    assert 'value="1.50"' in page
    listed = client.get(RATES).content.decode()
    assert "0.25 %" in listed
    assert "today" in listed


def test_terms_change_through_two_people(world: World, ann: User, bob: User) -> None:
    calendar = SettlementCalendar.objects.create(name="China 2026")
    data = {"account": world.account.pk, "days_after": "1", "working_days": "1", "calendar": calendar.pk,
            "reason": "T+1"}  # fmt: skip
    page = signed_in(ann).post(f"{TERMS}add/", data, follow=True).content.decode()
    assert "A change waits to be confirmed" in page
    assert not SettlementTerms.objects.exists()
    decide(bob, "confirm")
    terms = SettlementTerms.objects.get()
    assert (terms.days_after, terms.working_days, terms.calendar) == (1, True, calendar)
    page = signed_in(bob).get(f"{TERMS}{terms.pk}/change/").content.decode()
    assert "China 2026" in page
    assert "1 working day later" in page


def test_terms_of_a_calendar_that_is_gone_are_not_confirmed(world: World, ann: User, bob: User) -> None:
    calendar = SettlementCalendar.objects.create(name="China 2026")
    values = {"days_after": 1, "working_days": True, "calendar_id": calendar.pk}
    change = terms_change_request(account=world.account, values=values, user=ann, reason="T+1")
    calendar.delete()
    with pytest.raises(TransitionRefused, match="not there any more"):
        change_confirm(change=change, user=bob)


def test_everybody_who_may_look_sees_them(world: World) -> None:
    rate = FeeRate.objects.create(account=world.account, from_day=DAY, ppm=2500, most=100_000)
    page = signed_in(make_staff("auditor")).get(f"{RATES}{rate.pk}/change/").content.decode()
    assert "¥1,000.00" in page
    assert "add/?replaces" not in page
