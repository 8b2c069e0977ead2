"""Paying out by hand: two people, a voucher that is one, and who sees whom the money went to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from paycenter.uploads import MAX_BYTES
from refunds.models import Payout, Refund, RefundPolicy
from refunds.vouchers import VOUCHERS
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.admin.conftest import LIST, Desk
from trades.models import Trade

Ask = Callable[..., Refund]
Desks = Callable[..., Desk]
PNG = b"\x89PNG\r\n\x1a\n" + b"1" * 100
ACCOUNT = "6222020200112233"


@pytest.fixture(autouse=True)
def _private_folder(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path


@pytest.fixture
def ann(desk: Desks) -> Desk:
    return desk("ann")


@pytest.fixture
def bob(desk: Desks) -> Desk:
    return desk("bob")


@pytest.fixture
def refund(policy: RefundPolicy, trade: Trade, ask: Ask, ann: Desk, bob: Desk) -> Refund:
    """30.00, to be paid out by hand, approved."""
    made = ask(trade, 3000)
    ann.act(made, "by_hand", reason="card closed")
    bob.act(made, "approve")
    return fresh(made)


def given(**changed: Any) -> dict[str, Any]:
    voucher = SimpleUploadedFile("receipt.png", PNG, content_type="image/png")
    return {"reference": "TT-1", "paid_on": str(timezone.localdate()), "name": "Wang Xiaoming", "account": ACCOUNT,
            "bank": "ICBC", "voucher": voucher, **changed}  # fmt: skip


def stored() -> list[Path]:
    return [path for path in VOUCHERS.root.rglob("*") if path.is_file()] if VOUCHERS.root.exists() else []


def test_one_pays_out_and_another_one_checks(trade: Trade, refund: Refund, ann: Desk, bob: Desk) -> None:
    assert refund.state == "approved"
    assert "to be paid out" in ann.list()
    ann.post(refund, "payout", given())
    assert fresh(refund).state == "processing"
    assert "payout to check" in bob.list()
    assert "Somebody else has to check what you paid out." in ann.act(refund, "payout_right")
    assert "Somebody else has to check what you paid out." in ann.page(refund)
    assert fresh(refund).state == "processing"
    bob.act(refund, "payout_right", reason="")
    assert fresh(refund).state == "succeeded"
    assert fresh(trade).refunded_amount == 3000
    assert "There is nothing to pay out now." in bob.act(refund, "payout_right")
    assert fresh(trade).refunded_amount == 3000


def test_a_wrong_payout_is_entered_again(refund: Refund, ann: Desk, bob: Desk) -> None:
    ann.post(refund, "payout", given())
    assert "Please give a comment." in bob.act(refund, "payout_wrong", reason="")
    bob.act(refund, "payout_wrong", reason="another account")
    assert fresh(refund).state == "approved"
    ann.post(refund, "payout", given(reference="TT-2"))
    assert [p.accepted for p in Payout.objects.order_by("id")] == [False, None]
    assert "another account" in ann.page(refund)


@pytest.mark.parametrize(
    "changed",
    [
        {"voucher": ""}, {"voucher": SimpleUploadedFile("a.png", b"<html>")},
        {"voucher": SimpleUploadedFile("a.pdf", b"")}, {"reference": ""}, {"reference": "  "}, {"name": ""},
        {"account": ""}, {"paid_on": "2999-01-01"}, {"paid_on": "soon"},
        {"voucher": SimpleUploadedFile("a.png", PNG + b"0" * MAX_BYTES)},
    ],
)  # fmt: skip
def test_what_is_no_payout_is_not_taken(refund: Refund, ann: Desk, changed: dict[str, Any]) -> None:
    for value in changed.values():
        if isinstance(value, SimpleUploadedFile):
            value.seek(0)
    answer = ann.post(refund, "payout", given(**changed))
    assert answer.status_code == 200
    assert fresh(refund).state == "approved"
    assert stored() == []


def test_the_same_form_twice_is_one_payout(refund: Refund, ann: Desk) -> None:
    ann.post(refund, "payout", given())
    ann.post(refund, "payout", given())
    assert Payout.objects.count() == 1
    assert len(stored()) == 1


@pytest.mark.parametrize("role", ["operator", "service", "auditor"])
def test_other_roles_neither_enter_nor_check(refund: Refund, ann: Desk, desk: Desks, role: str) -> None:
    other = desk("other", role)
    other.post(refund, "payout", given())
    assert fresh(refund).state == "approved"
    ann.post(refund, "payout", given())
    for act in ("payout_right", "payout_wrong"):
        assert "Your role may not do this." in other.act(refund, act)
    assert fresh(refund).state == "processing"


def test_a_balance_needs_no_voucher(policy: RefundPolicy, trade: Trade, ask: Ask, ann: Desk, bob: Desk) -> None:
    refund = ask(trade, 3000)
    ann.act(refund, "to_balance", reason="they pay on")
    bob.act(refund, "approve")
    ann.post(refund, "payout", given(voucher=""))
    assert fresh(refund).state == "processing"


def test_the_voucher_is_a_download_for_who_may_see_the_payee(
    world: World, refund: Refund, ann: Desk, bob: Desk, desk: Desks
) -> None:
    ann.post(refund, "payout", given(voucher=SimpleUploadedFile('回单" ;.png', PNG)))
    payout = Payout.objects.get()
    url = f"{LIST}{refund.pk}/voucher/{payout.pk}/"
    answer = bob.client.get(url)
    assert answer.content == PNG
    assert answer["Content-Type"] == "image/png"
    assert answer["Content-Disposition"].startswith("attachment; filename*=utf-8''%E5%9B%9E")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert url in bob.page(refund)
    assert ACCOUNT in bob.page(refund)
    for role in ("auditor", "service", "operator"):
        other = desk(role, role)
        assert other.client.get(url).status_code == 403
        page = other.page(refund)
        assert url not in page
        assert "Wang" not in page
        assert ACCOUNT not in page
        assert "•••• 2233" in page
    tenant = desk("tenant", "merchant", merchant=world.merchant)
    assert tenant.client.get(url).status_code == 403
    assert ACCOUNT not in tenant.page(refund)
    stranger = desk("stranger", "merchant", merchant=factories.make_merchant())
    assert stranger.client.get(url).status_code == 404


def test_a_voucher_is_found_through_its_own_refund_only(
    policy: RefundPolicy, trade: Trade, refund: Refund, ask: Ask, ann: Desk
) -> None:
    ann.post(refund, "payout", given())
    other, payout = ask(trade, 2000), Payout.objects.get()
    assert ann.client.get(f"{LIST}{other.pk}/voucher/{payout.pk}/").status_code == 404
    stored()[0].unlink()
    assert ann.client.get(f"{LIST}{refund.pk}/voucher/{payout.pk}/").status_code == 404


def test_tenants_see_that_it_was_paid_out_but_not_by_whom(
    world: World, refund: Refund, ann: Desk, bob: Desk, desk: Desks
) -> None:
    ann.post(refund, "payout", given())
    bob.act(refund, "payout_right", reason="")
    tenant = desk("tenant", "app", app=world.app)
    page = tenant.page(refund)
    assert "TT-1" in page
    assert "W**" in page
    for name in (">ann", "ann ·", ">bob", "bob ·", "Staff ann", "Staff bob", "Look twice", "Not possible now"):
        assert name not in page, name
    assert refund.refund_no in tenant.list()
