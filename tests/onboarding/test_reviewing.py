"""Submitting, looking at it side by side, returning it with comments, approving it by somebody else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django_otp.plugins.otp_totp.models import TOTPDevice

from merchants.models import AppMerchant, PaymentAccount, User
from merchants.people.models import Letter
from merchants.services import account_update_config, merchant_advance, merchant_update
from notifications.models import Alert
from onboarding.models import ApplicationVersion
from onboarding.versions import application_approve
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from tests.factories import fresh, make_app
from tests.fakes.staff import make_staff, signed_in
from tests.onboarding.company import BANK_ACCOUNT, FACTS, PNG, SECRET, Company, make_company
from tests.paycenter.staff.test_second_factor import code_of
from tests.paycenter.staff.test_step_up import held_in


@pytest.fixture
def ready(company: Company) -> Company:
    company.fill_in()
    return company


@pytest.fixture
def submitted(ready: Company) -> Company:
    assert ready.submit().status_code == 302
    assert fresh(ready.merchant).state == "review"
    return ready


def decide(client: Client, company: Company, decision: str, number: int = 1, **values: Any) -> Any:
    data = {"decision": decision, "version": number, **values}
    return client.post(f"{company.base}decide/", data)


def events(company: Company) -> list[str]:
    rows = Event.objects.filter(merchant_no=company.merchant.merchant_no).order_by("id")
    return list(rows.values_list("type", flat=True))


def test_what_is_missing_is_listed_in_words_and_refused_on_the_server(company: Company) -> None:
    page = company.page()
    wanted = ("Registered address is missing.", "Business licence: please upload it.", "At least one payment account")
    for words in wanted:
        assert words in page
    assert "Something is still missing" in company.submit(mark="x").content.decode()
    assert fresh(company.merchant).state == "draft"


def test_submitting_freezes_a_version_without_secrets(submitted: Company) -> None:
    version = submitted.application.versions.get()
    assert version.snapshot["company"]["credit_code"] == FACTS["company"]["credit_code"]
    assert set(version.snapshot["documents"]) == {"licence", "legal_id_front", "legal_id_back", "bank_permit"}
    parameters = next(iter(version.snapshot["accounts"].values()))["parameters"]
    assert parameters["merchant"] == "anju-1"
    assert SECRET not in str(version.snapshot)
    with connection.cursor() as cursor:
        cursor.execute("SELECT snapshot FROM onboarding_applicationversion")
        assert BANK_ACCOUNT not in cursor.fetchone()[0]
    assert PaymentAccount.objects.get().state == "review"
    alert = Alert.objects.get(kind="onboarding")
    assert (alert.severity, alert.merchant_no) == ("info", submitted.merchant.merchant_no)


def test_without_the_promise_nothing_is_submitted(ready: Company) -> None:
    page = ready.client.post(f"{ready.base}submit/", {"mark": ready.mark("submit/")}).content.decode()
    assert "Please confirm that everything is true" in page
    assert fresh(ready.merchant).state == "draft"


def test_what_changed_after_it_was_looked_over_is_not_submitted_unseen(ready: Company) -> None:
    mark = ready.mark("submit/")
    ready.save("business", wishes="something else")
    assert "Something was changed while you looked it over" in ready.submit(mark).content.decode()
    assert ready.submit().status_code == 302


def test_submitting_twice_makes_one_version(ready: Company) -> None:
    mark = ready.mark("submit/")
    ready.submit(mark)
    assert "being reviewed" in ready.submit(mark).content.decode()
    assert ApplicationVersion.objects.count() == 1


def test_in_review_nothing_can_be_changed(submitted: Company) -> None:
    before = submitted.application.facts
    page = submitted.save("company", mark="x", short_name="Sneaky").content.decode()
    assert "nothing can be changed until that is decided" in page
    submitted.upload("licence", PNG + b"3", mark="x")
    assert submitted.client.post(f"{submitted.base}begin/", {"channel": "fakepay"}).status_code == 200
    assert fresh(submitted.application).facts.keys() >= before.keys()
    assert fresh(submitted.merchant).short_name == "安居物业"
    assert submitted.application.documents.count() == 4
    assert 'name="short_name"' not in submitted.page()


def test_comments_come_back_to_the_step_they_are_about_and_the_next_version_is_compared(
    submitted: Company, reviewer: Client
) -> None:
    company = submitted
    answer = decide(reviewer, company, "return", **{"comment-bank": "The branch is another one."})
    assert answer.status_code == 302
    assert (fresh(company.merchant).state, PaymentAccount.objects.get().state) == ("draft", "draft")
    page = company.page()
    step = re.search(r'<details class="pc-card ob-step" id="step-bank" (open)?>(.*?)</details>', page, re.S)
    assert step
    assert step[1] == "open"
    assert "The branch is another one." in step[2]
    assert "Version 1 came back" in page
    company.save("bank", bank_branch="深圳后海支行", bank_account_no="")
    company.upload("licence", PNG + b"new", name="licence-2026.png")
    company.submit()
    shown = reviewer.get(f"{company.base}review/").content.decode()
    assert "<del>深圳科苑支行</del>" in shown
    assert "<ins>深圳后海支行</ins>" in shown
    assert "licence-2026.png" in shown
    assert len(re.findall(r'<tr class="changed">', shown)) == 2
    first = reviewer.get(f"{company.base}review/?version=1").content.decode()
    assert "The branch is another one." in first
    assert "深圳后海支行" not in first
    assert "application.returned" in events(company)


def test_returning_needs_a_word_and_what_was_written_stays_when_it_is_refused(
    submitted: Company, reviewer: Client
) -> None:
    assert "Please say what has to be changed" in decide(reviewer, submitted, "return").content.decode()
    assert fresh(submitted.merchant).state == "review"
    merchant_update(
        merchant=submitted.merchant, values={"short_name": "Changed"}, actor="staff:somebody", reviewed=True
    )
    page = decide(reviewer, submitted, "approve", comment="all fine", **{"comment-people": "by the way"})
    text = page.content.decode()
    assert "Changed since it was submitted: Company" in text
    assert ">all fine</textarea>" in text
    assert ">by the way</textarea>" in text


def test_approval_takes_company_and_accounts_into_service(submitted: Company, reviewer: Client) -> None:
    app = make_app()
    assert decide(reviewer, submitted, "approve", comment="fine", apps=[app.pk]).status_code == 302
    account = PaymentAccount.objects.get()
    assert (fresh(submitted.merchant).state, account.state) == ("active", "active")
    assert AppMerchant.objects.get(app=app, is_active=True).merchant == submitted.merchant
    version = submitted.application.versions.get()
    assert (version.outcome, version.decided_by.username) == ("approved", "reviewer")
    told = events(submitted)
    assert [t for t in told if t.startswith("application.")][-2:] == ["application.submitted", "application.approved"]
    assert {"merchant.submit", "merchant.activate", "paymentaccount.submit", "paymentaccount.activate"} <= set(told)
    page = submitted.page()
    assert "Approved: the company can take payments." in page
    assert "steps complete" not in page
    assert submitted.client.get("/admin/").status_code == 200  # the usual landing page from now on
    late = submitted.save("company", mark="x", short_name="New").content.decode()
    assert "Ask an operator of the center for changes" in late
    assert "decided already" in decide(reviewer, submitted, "return", comment="too late").content.decode()
    assert fresh(submitted.merchant).state == "active"


def test_who_filled_in_or_submitted_it_does_not_approve_it(company: Company) -> None:
    operator = make_staff("operator", username="helper")
    helped = Company(company.merchant, company.application, operator, signed_in(operator))
    helped.save("company")
    company.fill_in()
    company.submit()
    page = decide(helped.client, company, "approve").content.decode()
    assert "Somebody else has to approve" in page
    assert fresh(company.merchant).state == "review"
    version = ApplicationVersion.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        ApplicationVersion.objects.filter(pk=version.pk).update(outcome="approved", decided_by=version.submitted_by)


@pytest.mark.parametrize("role", ["finance", "service", "auditor"])
def test_other_roles_decide_nothing(submitted: Company, role: str) -> None:
    user = make_staff(role)
    for decision in ("approve", "return"):
        assert decide(signed_in(user), submitted, decision, comment="x y").status_code == 403
    with pytest.raises(TransitionRefused):
        application_approve(application=submitted.application, number=1, user=user)
    assert fresh(submitted.merchant).state == "review"


def test_the_company_itself_sees_no_review_and_decides_nothing(submitted: Company) -> None:
    assert submitted.client.get(f"{submitted.base}review/").status_code == 404
    assert decide(submitted.client, submitted, "approve").status_code == 404
    owner = User.objects.get(pk=submitted.owner.pk)
    with pytest.raises(TransitionRefused):
        application_approve(application=submitted.application, number=1, user=owner)


def test_what_an_operator_changed_meanwhile_is_not_approved_unseen(submitted: Company, reviewer: Client) -> None:
    account = PaymentAccount.objects.get()
    config = {"merchant": "somebody-else", "secret": "x"}
    account_update_config(account=account, config=config, actor="staff:other", reviewed=True)
    page = decide(reviewer, submitted, "approve").content.decode()
    assert "Changed since it was submitted: Payment accounts" in page
    assert fresh(submitted.merchant).state == "review"


def test_an_older_page_cannot_decide_on_a_newer_version(submitted: Company, reviewer: Client) -> None:
    decide(reviewer, submitted, "return", comment="once more")
    submitted.save("business", wishes="changed")
    submitted.submit()
    assert "newer version" in decide(reviewer, submitted, "approve", number=1).content.decode()
    assert fresh(submitted.merchant).state == "review"


def test_whole_numbers_are_shown_on_request_and_that_is_written_down(submitted: Company, reviewer: Client) -> None:
    assert BANK_ACCOUNT not in reviewer.get(f"{submitted.base}review/").content.decode()
    assert BANK_ACCOUNT in reviewer.post(f"{submitted.base}numbers/1/").content.decode()
    event = Event.objects.get(type="application.numbers_shown")
    assert (event.actor, event.detail["version"]) == ("staff:reviewer", 1)
    auditor = signed_in(make_staff("auditor"))
    assert auditor.get(f"{submitted.base}review/").status_code == 200
    assert auditor.post(f"{submitted.base}numbers/1/").status_code == 403


def test_the_buttons_of_the_merchants_page_lead_to_the_application(submitted: Company, reviewer: Client) -> None:
    base = f"/admin/merchants/merchant/{submitted.merchant.pk}"
    page = reviewer.get(f"{base}/change/").content.decode()
    assert f'href="{submitted.base}change/"' in page
    assert f"{base}/advance/activate/" not in page
    reviewer.post(f"{base}/advance/activate/")
    assert fresh(submitted.merchant).state == "review"
    with pytest.raises(TransitionRefused):
        merchant_advance(merchant=submitted.merchant, transition="activate", actor="staff:reviewer")


def test_approving_and_whole_numbers_ask_for_the_code_again(submitted: Company) -> None:
    user = make_staff("operator", username="bob")
    client = signed_in(user, device=TOTPDevice.objects.create(user=user, name="app", confirmed=True))
    assert "Confirm it is you" in decide(client, submitted, "approve").content.decode()
    assert BANK_ACCOUNT not in client.post(f"{submitted.base}numbers/1/").content.decode()
    assert fresh(submitted.merchant).state == "review"
    assert decide(client, submitted, "return", comment="once more").status_code == 302


def test_the_owners_are_told_by_mail(submitted: Company, reviewer: Client, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    make_staff("merchant", merchant=submitted.merchant, username="clerk", email="clerk@anju.example")
    decide(reviewer, submitted, "return", comment="See below.", **{"comment-company": "Another licence, please."})
    letter = Letter.objects.get()
    assert letter.address == "owner@anju.example"
    assert "Another licence, please." in letter.text
    assert "See below." in letter.text


def test_a_clerk_fills_in_but_does_not_submit(ready: Company) -> None:
    clerk = signed_in(make_staff("merchant", merchant=ready.merchant, username="clerk"))
    theirs = Company(ready.merchant, ready.application, ready.owner, clerk)
    assert theirs.save("business", wishes="by the clerk").status_code == 302
    assert "The owner submits the application." in theirs.page()
    assert theirs.submit().status_code == 403
    assert fresh(ready.merchant).state == "draft"


def test_the_list_puts_what_waits_first(submitted: Company, reviewer: Client) -> None:
    make_company("Later", username="later")
    page = reviewer.get("/admin/onboarding/application/").content.decode()
    assert page.index("安居物业服务有限公司") < page.index("Later")
    landing = reviewer.get("/admin/").content.decode()
    assert "Applications to review" in landing


def test_a_document_is_shown_to_who_gave_a_code_lately(ready: Company) -> None:
    operator = make_staff("operator")
    device = TOTPDevice.objects.create(user=operator, name="app", confirmed=True)
    client = signed_in(operator, device=device)
    ready.submit()
    document = ready.application.documents.get(kind="legal_id_front")
    url = f"{ready.base}file/{document.pk}/?download=1"
    assert f'<img src="{ready.base}file/' not in client.get(f"{ready.base}review/").content.decode()
    asked = client.get(url)
    assert PNG not in asked.content
    assert not Event.objects.filter(type="application.document_seen").exists()
    held = held_in(asked)
    shown = client.post(url, {"held_form": held, "step_up_code": code_of(device)})
    assert shown.content == PNG
    seen = Event.objects.get(type="application.document_seen")
    assert seen.actor == "staff:operator"
    assert not seen.detail["trail"].get("after"), "looking changes nothing"
    assert client.get(url).content == PNG
    assert f'<img src="{ready.base}file/' in client.get(f"{ready.base}review/").content.decode()
