"""Platform certificates of WeChat Pay, renewed end to end: asked for, verified, stored, used."""

# The imported fixtures are arguments of tests.
# ruff: noqa: F811

from __future__ import annotations

from typing import Any

import pytest

from channels.base import NoticeKind
from merchants.channels import provider_of
from merchants.checking import account_check
from merchants.models import PaymentAccount
from merchants.services import account_create
from merchants.tasks import refresh_certificates
from paycenter.errors import BadSignature
from tests import factories
from tests.channels.wechat.conftest import (  # noqa: F401
    channel,
    http,
    make_provider,
    notifies,
    raw_config,
    says,
    server,
    transaction,
    wx_keys,
)
from tests.channels.wechat.standin import Signer, hex_serial, new_certificate
from tests.channels.wechat.test_checking import listing


@pytest.fixture
def account(db: None, raw_config: dict[str, Any]) -> PaymentAccount:
    """An active account in platform-certificate mode that has no certificate yet."""
    raw = {name: value for name, value in raw_config.items() if not name.startswith("wechatpay_public")}
    made = account_create(
        merchant=factories.make_merchant(), channel="wechat", name="Account", actor="test",
        config={**raw, "verify_mode": "platform_certificate"},
    )  # fmt: skip
    PaymentAccount.objects.filter(pk=made.pk).update(state="active")
    return PaymentAccount.objects.select_related("merchant").get(pk=made.pk)


def test_what_the_channel_lists_is_stored_and_verifies_the_next_notification(
    account: PaymentAccount,
    says: Any,
    notifies: Any,
    wx_keys: Any,
) -> None:
    request = notifies(transaction(), sign=wx_keys.by_certificate)
    with pytest.raises(BadSignature):
        provider_of(account).parse_notify(request)
    says(200, listing(wx_keys.platform_certificate), sign=wx_keys.by_certificate)
    assert refresh_certificates() == 1
    renewed = PaymentAccount.objects.select_related("merchant").get(pk=account.pk)
    assert renewed.config_version == account.config_version + 1
    assert provider_of(renewed).parse_notify(request).kind is NoticeKind.PAYMENT
    secrets = ("merchant_private_key", "api_v3_key", "app_secret")
    assert {n: renewed.config[n] for n in secrets} == {n: account.config[n] for n in secrets}


def test_certificates_signed_by_a_stranger_change_nothing(
    account: PaymentAccount,
    says: Any,
    wx_keys: Any,
) -> None:
    forger = Signer(wx_keys.stranger, hex_serial(wx_keys.platform_certificate))
    says(200, listing(wx_keys.platform_certificate), sign=forger)
    assert refresh_certificates() == 1
    kept = PaymentAccount.objects.get(pk=account.pk)
    assert (kept.config, kept.config_version) == (account.config, account.config_version)


def test_the_connection_check_fetches_them_so_that_the_first_payment_is_understood(
    account: PaymentAccount, says: Any, notifies: Any, wx_keys: Any
) -> None:
    request = notifies(transaction(), sign=wx_keys.by_certificate)
    for _ in range(2):  # once for the check itself
        says(200, listing(wx_keys.platform_certificate), sign=wx_keys.by_certificate)
    assert account_check(account=account, actor="test").ok
    checked = PaymentAccount.objects.select_related("merchant").get(pk=account.pk)
    assert checked.check_ok, "storing what the channel gave us keeps the check"
    assert provider_of(checked).parse_notify(request).kind is NoticeKind.PAYMENT


def test_while_two_certificates_live_either_may_sign(
    account: PaymentAccount, says: Any, notifies: Any, wx_keys: Any
) -> None:
    """WeChat Pay lists the next certificate beside the present one, and changes over when it likes."""
    following = new_certificate(wx_keys.stranger)
    says(200, listing(wx_keys.platform_certificate, following), sign=wx_keys.by_certificate)
    refresh_certificates()
    renewed = PaymentAccount.objects.select_related("merchant").get(pk=account.pk)

    for signer in (wx_keys.by_certificate, Signer(wx_keys.stranger, hex_serial(following)), wx_keys.by_certificate):
        assert provider_of(renewed).parse_notify(notifies(transaction(), sign=signer)).kind is NoticeKind.PAYMENT

    # The old one is taken off the list: from then on its signature counts for nothing.
    says(200, listing(following), sign=Signer(wx_keys.stranger, hex_serial(following)))
    refresh_certificates()
    later = PaymentAccount.objects.select_related("merchant").get(pk=account.pk)
    with pytest.raises(BadSignature):
        provider_of(later).parse_notify(notifies(transaction(), sign=wx_keys.by_certificate))
    genuine = notifies(transaction(), sign=Signer(wx_keys.stranger, hex_serial(following)))
    assert provider_of(later).parse_notify(genuine).kind is NoticeKind.PAYMENT


def test_nothing_is_fetched_while_a_payment_or_a_notification_is_handled(
    account: PaymentAccount, notifies: Any, channel: Any, wx_keys: Any
) -> None:
    """A serial number nobody knows asks WeChat Pay nothing: the background will."""
    with pytest.raises(BadSignature):
        provider_of(account).parse_notify(notifies(transaction(), sign=wx_keys.by_certificate))
    assert channel.requests == []
