"""A stored secret goes to the host it was stored for, and to no other: who changes an address types it again."""

from __future__ import annotations

import pytest

from channels.base import Field, FieldKind, Label
from merchants import changes, services
from merchants.models import ChangeRequest, PaymentAccount
from onboarding.models import AccountDraft
from paycenter.errors import ChannelConfigInvalid
from tests.conftest import World
from tests.factories import fresh
from tests.fakes import fakepay
from tests.fakes.staff import make_staff
from tests.onboarding.company import SECRET, make_company

GATEWAY = Field(
    "gateway_url", Label("网关地址", "Gateway"), FieldKind.URL, default="https://gateway.channel.example/pay"
)
ELSEWHERE = [
    "https://gateway.evil.example/pay", "http://gateway.channel.example/pay", "https://gateway.channel.example:8443/pay",
    "https://gateway.channel.example.evil.example/pay",
]  # fmt: skip
ASKED = "type this secret again"


@pytest.fixture(autouse=True)
def _with_an_address(book: fakepay.Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakepay.FakeProvider, "fields", (*fakepay.FakeProvider.fields, GATEWAY))


def draft(world: World) -> PaymentAccount:
    return services.account_create(
        merchant=world.merchant, channel="fakepay", name="D", actor="staff:boss",
        config={"merchant": "fake-merchant", "secret": "fake-channel-secret"},
    )  # fmt: skip


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_draft_does_not_take_its_secret_to_another_host(world: World, url: str) -> None:
    account = draft(world)
    moved = {"merchant": "fake-merchant", "secret": "", "gateway_url": url}
    with pytest.raises(ChannelConfigInvalid) as caught:
        services.account_update_config(account=account, config=moved, actor="staff:clerk")
    assert list(caught.value.problems) == ["secret"]
    assert fresh(account).config == account.config
    services.account_update_config(account=account, config={**moved, "secret": "typed"}, actor="staff:clerk")
    assert fresh(account).config == {**moved, "secret": "typed"}


def test_another_path_at_the_same_host_keeps_it(world: World) -> None:
    account = draft(world)
    same = {"merchant": "fake-merchant", "secret": "", "gateway_url": "https://GATEWAY.channel.example:443/v2"}
    services.account_update_config(account=account, config=same, actor="staff:clerk")
    assert fresh(account).config["secret"] == "fake-channel-secret"


def test_a_change_of_an_active_account_does_not_either(world: World) -> None:
    moved = {"merchant": "fake-merchant", "secret": "", "gateway_url": ELSEWHERE[0]}
    with pytest.raises(ChannelConfigInvalid):
        changes.account_change_request(account=world.account, config=moved, user=make_staff("operator"), reason="move")
    assert not ChangeRequest.objects.exists()


def test_the_page_of_an_application_says_so_at_the_secret(book: fakepay.Book, db: None) -> None:
    company = make_company()
    company.account(company.begin())
    account = PaymentAccount.objects.get()
    moved = {"config-secret": "", "config-gateway_url": ELSEWHERE[0]}
    # Also where something else is wrong, so that a draft would be kept.
    for also in ({}, {"config-merchant": ""}):
        page = company.account(f"account-{account.pk}", **moved, **also).content.decode()
        assert ASKED in page
    assert fresh(account).config == {
        "merchant": "anju-1", "secret": SECRET, "gateway_url": GATEWAY.default
    }  # fmt: skip
    assert not AccountDraft.objects.exists()


def test_an_unfinished_account_neither(book: fakepay.Book, db: None) -> None:
    company = make_company()
    place = company.begin()
    company.account(place, **{"config-merchant": ""})
    page = company.account(place, **{"config-secret": "", "config-gateway_url": ELSEWHERE[0]}).content.decode()
    assert ASKED in page
    assert not PaymentAccount.objects.exists()
    company.account(place, **{"config-secret": "typed", "config-gateway_url": ELSEWHERE[0]})
    assert PaymentAccount.objects.get().config["secret"] == "typed"
