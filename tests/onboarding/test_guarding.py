"""Until a company is approved, it and its accounts are changed in the application, where it is known who did it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from merchants import offering, services
from merchants.models import Merchant, PaymentAccount
from merchants.services import account_create, merchant_create
from onboarding.models import ApplicationVersion
from onboarding.services import application_open
from paycenter.errors import TransitionRefused
from tests.factories import fresh
from tests.fakes.staff import make_staff, signed_in
from tests.onboarding.company import Company

pytestmark = pytest.mark.usefixtures("in_english")

CONFIG = {"merchant": "mine", "secret": "mine"}
BY = "staff:reviewer"
ACTS: dict[str, Callable[[Merchant, PaymentAccount], Any]] = {
    "create": lambda merchant, _account: services.account_create(
        merchant=merchant, channel="fakepay", name="Mine", config=CONFIG, actor=BY
    ),
    "config": lambda _merchant, account: services.account_update_config(account=account, config=CONFIG, actor=BY),
    "methods": lambda _merchant, account: offering.account_methods_set(account=account, methods=[], actor=BY),
    "rename": lambda _merchant, account: services.account_rename(account=account, name="Mine", actor=BY),
    "submit": lambda _merchant, account: services.account_advance(account=account, transition="submit", actor=BY),
    "activate": lambda _merchant, account: services.account_advance(account=account, transition="activate", actor=BY),
    "close": lambda _merchant, account: services.account_advance(account=account, transition="close", actor=BY),
    "merchant": lambda merchant, _account: services.merchant_update(
        merchant=merchant, values={"contact_email": "me@evil.example"}, actor=BY
    ),
}


@pytest.fixture
def ready(company: Company) -> Company:
    company.fill_in()
    return company


@pytest.mark.parametrize("state", ["draft", "review"])
def test_nothing_of_an_application_is_changed_beside_it(ready: Company, state: str) -> None:
    if state == "review":
        ready.submit()
    account = PaymentAccount.objects.get()
    for act in ACTS.values():
        with pytest.raises(TransitionRefused, match="changes are made there"):
            act(fresh(ready.merchant), fresh(account))
    assert fresh(account).state == state
    assert PaymentAccount.objects.count() == 1


def test_the_account_pages_lead_back_to_the_application(ready: Company, reviewer: Client) -> None:
    account = PaymentAccount.objects.get()
    base = f"/admin/merchants/paymentaccount/{account.pk}"
    page = reviewer.get(f"{base}/change/").content.decode()
    assert "changes are made there" in page
    assert f"{base}/config/" not in page
    assert f"{base}/advance/" not in page
    typed = {"name": account.name, "config-merchant": "mine", "config-secret": "mine", "methods": ["fake_page"]}
    assert "changes are made there" in reviewer.post(f"{base}/config/", typed).content.decode()
    for path in ("advance/submit/", "methods/", "rename/"):
        assert "changes are made there" in reviewer.post(f"{base}/{path}", typed, follow=True).content.decode()
    add = f"/admin/merchants/paymentaccount/add/?merchant={ready.merchant.pk}&channel=fakepay"
    assert "changes are made there" in reviewer.post(add, typed).content.decode()
    assert PaymentAccount.objects.get().config["merchant"] == "anju-1"


def test_the_merchants_page_keeps_the_companys_columns_and_takes_ours(ready: Company, reviewer: Client) -> None:
    place = f"/admin/merchants/merchant/{ready.merchant.pk}/change/"
    assert 'name="contact_email"' not in reviewer.get(place).content.decode()
    sent = {"name": "Evil", "contact_email": "me@evil.example", "timezone": "Asia/Shanghai", "note": "called them"}
    assert reviewer.post(place, sent).status_code == 302
    merchant = fresh(ready.merchant)
    assert (merchant.contact_email, merchant.note) == ("wang@anju.example", "called them")
    assert merchant.name == "安居物业服务有限公司"


def test_who_typed_an_account_before_there_was_an_application_does_not_approve_it(book: Any, db: None) -> None:
    operator, owner_of = make_staff("operator", username="helper"), merchant_create(name="Early", actor="system")
    account_create(merchant=owner_of, channel="fakepay", name="Mine", config=CONFIG, actor="staff:helper")
    owner = make_staff("owner", merchant=owner_of, username="owner")
    company = Company(owner_of, application_open(merchant=owner_of, user=owner), owner, signed_in(owner))
    PaymentAccount.objects.update(check_ok=True)
    company.fill_in()
    assert company.submit().status_code == 302
    number = ApplicationVersion.objects.get().number
    sent = {"decision": "approve", "version": number}
    page = signed_in(operator).post(f"{company.base}decide/", sent).content.decode()
    assert "Somebody else has to approve" in page
    other = signed_in(make_staff("operator", username="other"))
    assert other.post(f"{company.base}decide/", sent).status_code == 302
    assert {fresh(owner_of).state, *PaymentAccount.objects.values_list("state", flat=True)} == {"active"}
