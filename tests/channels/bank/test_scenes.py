"""Each scene: what the payer's device carries is what the bank takes, the same each time, and nobody is called."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.bank.provider import BankProvider
from channels.bank.reading import clean_text
from channels.base import Device, Form, Initiated, PayOrder, SdkParams
from channels.base.discovery import methods_of, provider_for
from paycenter.masking import mask_text
from paycenter.money import Money
from tests.channels.bank.conftest import TODAY, make_provider
from tests.channels.bank.wire import BRANCH, CO_NO, BankServer, form, request_is_signed_by


def carried(result: Any) -> dict[str, str]:
    assert isinstance(result, Initiated)
    found = result.instruction
    return dict(found.fields if isinstance(found, Form) else found.params)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("code", "scene", "kind"), [("bank_pc", "PC", Form), ("bank_wap", "WAP", Form), ("bank_app", "APP", SdkParams)]
)
def test_the_signed_order(
    provider: BankProvider, order: PayOrder, bank: BankServer, merchant_key: RSAPrivateKey,
    code: str, scene: str, kind: type,
) -> None:  # fmt: skip
    result = provider.pay(code, order)
    assert isinstance(result, Initiated)
    assert isinstance(result.instruction, kind)
    sent = carried(result)
    assert request_is_signed_by(merchant_key.public_key(), sent)
    expected = {
        "Version": "1.0", "MsgType": "pay", "SignType": "RSA2", "BranchID": BRANCH, "CoNo": CO_NO,
        "BillNo": "0000000001", "Date": TODAY, "Amount": "12.34", "ExpireTime": "20261121030005", "Subject": "物业费",
        "Scene": scene, "NoticeUrl": order.notify_url,
    }  # fmt: skip
    if scene != "APP":
        expected["ReturnUrl"] = order.return_url
    assert {k: v for k, v in sent.items() if k != "Signature"} == expected
    assert bank.received == []


def test_the_form_goes_to_the_banks_page(provider: BankProvider, order: PayOrder, bank: BankServer) -> None:
    assert provider.pay("bank_pc", order).instruction.action == f"{bank.url}/pay"  # type: ignore[union-attr]


def test_a_slash_at_the_end_of_the_address_does_not_double(
    raw_config: dict[str, Any], order: PayOrder, bank: BankServer
) -> None:
    provider = make_provider({**raw_config, "gateway_url": bank.url + "/"})
    assert provider.pay("bank_wap", order).instruction.action == f"{bank.url}/pay"  # type: ignore[union-attr]


@pytest.mark.parametrize("code", ["bank_pc", "bank_wap", "bank_app"])
def test_sending_again_later_says_exactly_the_same(
    raw_config: dict[str, Any], order: PayOrder, code: str
) -> None:
    first, later = make_provider(raw_config), make_provider(raw_config, order.sent_at + timedelta(hours=30))
    assert carried(first.pay(code, order)) == carried(later.pay(code, order))


@pytest.mark.parametrize(
    ("sent_at", "day"),
    [
        (datetime(2026, 11, 20, 15, 59, 59, 999_999, tzinfo=UTC), "20261120"),
        (datetime(2026, 11, 20, 16, 0, 0, tzinfo=UTC), "20261121"),
        (datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC), "20261231"),
        (datetime(2026, 12, 31, 16, 0, 0, tzinfo=UTC), "20270101"),
    ],
)
def test_the_order_day_changes_at_midnight_in_beijing(
    provider: BankProvider, order: PayOrder, sent_at: datetime, day: str
) -> None:
    assert carried(provider.pay("bank_pc", replace(order, sent_at=sent_at)))["Date"] == day


@pytest.mark.parametrize(("minor", "yuan"), [(1, "0.01"), (100, "1.00"), (10**11, "1000000000.00")])
def test_amounts_are_yuan_with_two_decimals(provider: BankProvider, order: PayOrder, minor: int, yuan: str) -> None:
    assert carried(provider.pay("bank_pc", replace(order, amount=Money(minor))))["Amount"] == yuan


@pytest.mark.parametrize(("digits", "number"), [("6", "000042"), ("10", "0000000042")])
def test_number_rule_follows_the_contract(
    raw_config: dict[str, Any], order: PayOrder, digits: str, number: str
) -> None:
    provider = make_provider({**raw_config, "order_no_digits": digits})
    rule = provider.number_rule()
    assert (rule.digits, rule.zone) == (int(digits), "Asia/Shanghai")
    assert carried(provider.pay("bank_pc", replace(order, order_no=number)))["BillNo"] == number


@pytest.mark.parametrize(
    ("funding", "card"), [(None, None), ("", None), ("credit", "CREDIT"), ("debit", "DEBIT"), ("huabei", None)]
)
def test_funding_restricts_the_card(
    provider: BankProvider, order: PayOrder, funding: str | None, card: str | None
) -> None:
    assert carried(provider.pay("bank_pc", replace(order, funding=funding))).get("CardType") == card


class TestSubject:
    @pytest.mark.parametrize(
        ("subject", "expected"),
        [
            ("A&Amount=0.01", "A＆Amount=0.01"),  # could otherwise be read as a field of the signed text
            ("第一行\r\n第二行", "第一行 第二行"),
            ("物" * 80, "物" * 64),
            ("\x00\n", "0000000001"),
            ("1+1=2 100% \"<b>'", "1+1=2 100% \"<b>'"),
            ("🏠" * 65, "🏠" * 64),
        ],
    )
    def test_reaches_the_bank_in_one_meaning(
        self, provider: BankProvider, order: PayOrder, merchant_key: RSAPrivateKey, subject: str, expected: str
    ) -> None:
        sent = carried(provider.pay("bank_pc", replace(order, subject=subject)))
        assert sent["Subject"] == expected
        assert request_is_signed_by(merchant_key.public_key(), sent)
        assert not any("&" in value or not value for value in sent.values())

    def test_lone_surrogates_are_dropped(self) -> None:
        assert clean_text("a\ud800b", 9) == "ab"


def test_declared_for_the_cashier() -> None:
    declared = {m.code: m for m in methods_of("bank")}
    assert provider_for("bank") is BankProvider
    assert {code: m.devices for code, m in declared.items()} == {
        "bank_pc": {Device.PC}, "bank_wap": {Device.MOBILE}, "bank_app": set(),
    }  # fmt: skip
    assert {code: m.instruction for code, m in declared.items()} == {
        "bank_pc": "form", "bank_wap": "form", "bank_app": "sdk",
    }  # fmt: skip
    assert {code for code, m in declared.items() if m.own_cashier} == {"bank_pc", "bank_wap"}


def test_what_is_logged_keeps_no_signature_and_no_account(provider: BankProvider, order: PayOrder) -> None:
    sent = carried(provider.pay("bank_pc", order))
    for text in (form(sent | {"PayerAccount": "6225881234561234"}), json.dumps(sent)):
        masked = mask_text(text, keys=provider.masked_keys)
        assert sent["Signature"][:20] not in masked
        assert "6225881234561234" not in masked
        assert "0000000001" in masked
