"""A company fills in its application: each step by itself, nothing typed is lost, what is missing is said."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from merchants.models import PaymentAccount
from onboarding import accounts
from onboarding.connections import run_due_checks
from onboarding.facts import application_missing
from onboarding.models import Application, ConnectionCheck
from onboarding.services import DOCUMENTS
from paycenter.models import Event
from tests.factories import fresh, make_merchant
from tests.fakes.staff import make_staff, signed_in
from tests.onboarding.company import ACCOUNT, BANK_ACCOUNT, FACTS, PNG, RESIDENT_ID, SECRET, Company, make_company


def missing(company: Company) -> list[str]:
    application = Application.objects.get(pk=company.application.pk)
    return [m.text for m in application_missing(application, application.merchant)]


def test_the_owner_of_a_draft_lands_on_the_application(company: Company) -> None:
    answer = company.client.get("/admin/")
    assert (answer.status_code, answer["Location"]) == (302, f"{company.base}change/")
    active = signed_in(make_staff("merchant", merchant=make_merchant(), username="settled"))
    assert active.get("/admin/").status_code == 200


def test_a_first_visit_begins_the_application(company: Company) -> None:
    Application.objects.all().delete()
    answer = company.client.get("/admin/", follow=True)
    assert answer.status_code == 200
    assert Application.objects.get().merchant == company.merchant
    assert Event.objects.filter(type="application.opened", merchant_no=company.merchant.merchant_no).count() == 2


def test_a_step_is_stored_as_far_as_it_is_filled_in(company: Company) -> None:
    answer = company.save("company", credit_code="", registered_address="")
    assert answer["Location"] == f"{company.base}change/?at=company#step-company"
    assert fresh(company.merchant).short_name == "安居物业"
    page = company.page()
    assert "Unified social credit code is missing." in page
    assert company.save("company")["Location"].endswith("?at=people#step-people")
    assert "Unified social credit code is missing." not in company.page()
    event = Event.objects.filter(type="application.saved").latest("id")
    assert (event.detail["step"], event.detail["changed"]) == ("company", ["credit_code", "registered_address"])


def test_what_is_wrong_stores_nothing_and_stays_in_the_boxes(company: Company) -> None:
    page = company.save("company", credit_code="91350100M000100Y44", short_name="New name").content.decode()
    assert "The last character does not fit the others" in page
    assert 'value="91350100M000100Y44"' in page
    assert 'value="New name"' in page
    assert fresh(company.merchant).short_name == ""
    assert not Event.objects.filter(type="application.saved").exists()


@pytest.mark.parametrize(
    ("step", "changed", "words"),
    [
        ("company", {"name": " "}, "fill in the company"), ("company", {"licence_until": "2020-01-01"}, "is over"),
        ("company", {"short_name": "x" * 33}, "At most 32"), ("people", {"legal_id_no": "110105194912310021"}, "card"),
        ("people", {"contact_phone": "call me"}, "phone number"), ("people", {"contact_email": "a@"}, "valid email"),
        ("people", {"legal_id_kind": "x"}, "one of the list"), ("bank", {"bank_account_no": "12-34"}, "8 to 32"),
        ("bank", {"bank_code": "123"}, "12 digits"),
    ],
)  # fmt: skip
def test_each_box_says_what_is_wrong_with_it(company: Company, step: str, changed: dict[str, str], words: str) -> None:
    page = company.save(step, **changed).content.decode()
    errors = re.findall(r'<ul class="errorlist"[^>]*>(.*?)</ul>', page, re.S)
    assert any(words in error for error in errors), errors
    assert step not in Application.objects.get().facts


def test_sensitive_numbers_are_encrypted_and_masked_and_kept_when_left_empty(company: Company) -> None:
    company.save("people")
    company.save("bank")
    page = company.page()
    assert "•••• 1234" in page
    assert BANK_ACCOUNT not in page
    assert RESIDENT_ID not in page
    with connection.cursor() as cursor:
        cursor.execute("SELECT facts FROM onboarding_application")
        assert BANK_ACCOUNT not in cursor.fetchone()[0]
    company.save("bank", bank_account_no="", bank_branch="Other branch")
    stored = Application.objects.get().facts["bank"]
    assert (stored["bank_account_no"], stored["bank_branch"]) == (BANK_ACCOUNT, "Other branch")
    assert BANK_ACCOUNT not in str(list(Event.objects.values_list("detail", "data")))


def test_the_kept_number_is_checked_again_when_its_kind_changes(company: Company) -> None:
    company.save("people", legal_id_kind="passport", legal_id_no="G12345678")
    page = company.save("people", legal_id_no="").content.decode()
    assert "A resident identity number has 18 characters" in page


def test_two_people_on_the_same_step_lose_nothing(company: Company) -> None:
    colleague = signed_in(make_staff("merchant", merchant=company.merchant, username="colleague"))
    mark = company.mark("step/company/")
    company.save("company")
    values = {**FACTS["company"], "short_name": "Theirs", "mark": mark}
    page = colleague.post(f"{company.base}step/company/", values).content.decode()
    assert "owner, " in page
    assert "stored this part while you had it open" in page
    assert 'value="Theirs"' in page
    assert "<b>安居物业</b>" in page  # what was stored meanwhile stands beside the box
    assert fresh(company.merchant).short_name == "安居物业"
    again = {**values, "mark": company.mark("step/company/", page)}
    assert colleague.post(f"{company.base}step/company/", again).status_code == 302
    assert fresh(company.merchant).short_name == "Theirs"


def test_two_people_on_different_steps_do_not_disturb_each_other(company: Company) -> None:
    mark = company.mark("step/bank/")
    company.save("company")
    assert company.save("bank", mark=mark).status_code == 302


def test_documents_are_needed_as_the_facts_say(company: Company) -> None:
    company.save("people", contact_name="李娜", legal_id_kind="passport", legal_id_no="G12345678")
    wanted = [text for text in missing(company) if text.endswith("please upload it.")]
    assert any("Letter of authorisation" in text for text in wanted)
    assert not any("other side" in text for text in wanted)


@pytest.mark.parametrize(
    ("content", "words"), [(b"<html><script>", "Only PDF, PNG and JPEG"), (b"", "Please choose"),
                           (PNG + b"0" * 5 * 1024 * 1024, "larger than 5 MB")]
)  # fmt: skip
def test_a_file_that_is_no_document_is_refused(company: Company, content: bytes, words: str) -> None:
    page = company.upload("licence", content).content.decode()
    assert words in page or "Only PDF" in page
    assert not company.application.documents.exists()
    assert not [p for p in DOCUMENTS.root.rglob("*") if p.is_file()]


def test_a_replaced_document_stays_in_the_history(company: Company) -> None:
    company.upload("licence", name="first.png")
    company.upload("licence", PNG + b"2", name="second.png")
    assert "second.png" in company.page()
    assert [(d.name, d.ended_at is None) for d in company.application.documents.all()] == [
        ("first.png", False), ("second.png", True)
    ]  # fmt: skip


def test_two_uploads_of_one_document_do_not_overwrite_each_other(company: Company) -> None:
    mark = company.mark("document/licence/")
    company.upload("licence", name="first.png", mark=mark)
    page = company.upload("licence", PNG + b"2", name="second.png", mark=mark).content.decode()
    assert "stored this part while you had it open" in page
    assert company.application.documents.get().name == "first.png"
    assert len([p for p in DOCUMENTS.root.rglob("*") if p.is_file()]) == 1


def test_a_document_is_looked_at_safely_and_each_look_is_written_down(company: Company) -> None:
    company.upload("licence", name='执照";.png')
    url = f"{company.base}file/{company.application.documents.get().pk}/"
    answer = company.client.get(url)
    assert answer.content == PNG
    assert answer["Content-Type"] == "image/png"
    assert answer["Content-Disposition"].startswith("inline")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer["Cache-Control"].startswith("private, no-store")
    assert company.client.get(f"{url}?download=1")["Content-Disposition"].startswith("attachment")
    looks = Event.objects.filter(type="application.document_seen")
    assert [e.actor for e in looks] == ["staff:owner"] * 2
    for role in ("auditor", "finance", "service"):
        assert signed_in(make_staff(role)).get(url).status_code in (403, 404), role
    assert looks.count() == 2


def test_strangers_get_nothing(company: Company) -> None:
    company.upload("licence")
    place = company.begin()
    other = make_company("Other", username="stranger")
    for url in ("change/", f"file/{company.application.documents.get().pk}/", "checks/", "review/"):
        assert other.client.get(company.base + url).status_code == 404, url
    posts = ("step/company/", "document/licence/", "begin/", f"account/{place}/", "submit/", "decide/", "numbers/1/")
    for url in posts:
        assert other.client.post(company.base + url, {"mark": ""}).status_code == 404, url
    # Nor through one's own application: another company's account or document.
    theirs = other.base
    assert other.client.post(f"{theirs}account/{place}/", ACCOUNT).status_code == 404
    assert other.client.get(f"{theirs}file/{company.application.documents.get().pk}/").status_code == 404
    assert other.client.post(f"/admin/onboarding/application/of/{company.merchant.pk}/").status_code == 404


def test_an_account_is_kept_as_typed_until_it_is_complete(company: Company) -> None:
    place = company.begin()
    assert company.account(place, **{"config-merchant": ""}).status_code == 302
    assert not PaymentAccount.objects.exists()
    page = company.page()
    assert "1 parameter is still missing or wrong" in page
    assert "this field is required" in page
    assert SECRET not in page
    with connection.cursor() as cursor:
        cursor.execute("SELECT config FROM onboarding_accountdraft")
        assert SECRET not in cursor.fetchone()[0]
    # The secret was typed before and is left empty now.
    assert company.account(place, **{"config-secret": ""}).status_code == 302
    account = PaymentAccount.objects.get()
    assert account.config == {"merchant": "anju-1", "secret": SECRET}
    assert (account.state, account.name, account.merchant) == ("draft", "Fake of Anju", company.merchant)
    assert not company.application.drafts.exists()


def test_a_complete_account_is_checked_in_the_background_and_again_on_demand(company: Company) -> None:
    company.account(company.begin())
    account = PaymentAccount.objects.get()
    told = company.client.get(f"{company.base}checks/").json()[f"account-{account.pk}"]
    assert (told["state"], told["running"]) == ("waiting", True)
    assert run_due_checks() == 1
    told = company.client.get(f"{company.base}checks/").json()[f"account-{account.pk}"]
    assert (told["state"], told["text"]) == ("good", "The connection works")
    for _click in range(2):
        company.client.post(f"{company.base}account/account-{account.pk}/", {"check": "1"})
    assert ConnectionCheck.objects.filter(due_at__isnull=False).count() == 1
    assert run_due_checks() == 1
    assert Event.objects.filter(type="paymentaccount.checked", actor="staff:owner").count() == 2


def test_a_check_answers_in_the_language_of_who_asked(company: Company) -> None:
    company.client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-hans"
    company.client = signed_in(company.owner, language="zh-hans")
    company.account(company.begin())
    run_due_checks()
    assert fresh(PaymentAccount.objects.get()).check_message == "连接正常"


def test_a_provider_that_breaks_ends_the_check_in_words(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.account(company.begin())
    monkeypatch.setattr("tests.fakes.fakepay.FakeProvider.check", lambda _self: 1 / 0)
    assert run_due_checks() == 1
    told = next(iter(company.client.get(f"{company.base}checks/").json().values()))
    assert told["state"] == "bad"
    assert "broke off" in told["text"]


def test_changed_parameters_of_an_account_wait_as_a_draft_until_they_are_right(company: Company) -> None:
    company.account(company.begin())
    account = PaymentAccount.objects.get()
    place = f"account-{account.pk}"
    company.account(place, **{"config-merchant": "", "config-secret": ""})
    assert fresh(account).config["merchant"] == "anju-1"
    assert any("is not complete" in text for text in missing(company))
    company.account(place, **{"config-merchant": "anju-2", "config-secret": ""})
    assert fresh(account).config == {"merchant": "anju-2", "secret": SECRET}
    assert not company.application.drafts.exists()


def test_two_people_on_the_same_account_lose_nothing(company: Company) -> None:
    company.account(company.begin())
    place = f"account-{PaymentAccount.objects.get().pk}"
    mark = company.account_mark(place)
    company.account(place, name="Mine")
    page = company.account(place, mark=mark, name="Theirs").content.decode()
    assert "stored this part while you had it open" in page
    assert 'value="Theirs"' in page
    assert PaymentAccount.objects.get().name == "Mine"


def test_an_account_that_is_not_wanted_is_closed(company: Company) -> None:
    company.account(company.begin())
    account = PaymentAccount.objects.get()
    company.client.post(f"{company.base}account/account-{account.pk}/", {"remove": "1"})
    assert fresh(account).state == "closed"
    unfinished = company.begin()
    company.client.post(f"{company.base}account/{unfinished}/", {"remove": "1"})
    assert not company.application.drafts.exists()
    assert "At least one payment account is needed." in missing(company)


def test_the_steps_are_those_the_channel_declares(company: Company, settings: object) -> None:
    settings.PUBLIC_BASE_URL = "https://pay.example.com"  # type: ignore[attr-defined]
    company.begin("wechat")
    page = company.page()
    assert "Apply for the merchant API certificate" in page
    assert 'data-copy="https://pay.example.com/c/"' in page
    assert 'name="config-mch_id"' in page
    zh = signed_in(company.owner, language="zh-hans").get(f"{company.base}change/").content.decode()
    assert "申请商户 API 证书" in zh


def test_an_uploaded_certificate_in_binary_form_is_kept(company: Company) -> None:
    field = next(f for f in accounts.provider_for("wechat").fields if f.name == "merchant_cert")
    assert accounts._as_text(field, b"\xff\xfenot a certificate").isascii()


def test_an_operator_opens_a_company_with_its_first_owner_and_fills_in_for_it(reviewer: object) -> None:
    client = reviewer
    data = {"name": "Lakeside", "username": "lake", "last_name": "Li", "email": "li@lake.example"}
    answer = client.post("/admin/onboarding/application/add/", data)  # type: ignore[attr-defined]
    application = Application.objects.get()
    owner = application.merchant.user_set.get()
    assert answer["Location"] == f"/admin/merchants/user/{owner.pk}/change/"
    assert (owner.username, owner.has_usable_password(), application.merchant.state) == ("lake", False, "draft")
    taken = client.post("/admin/onboarding/application/add/", {**data, "username": "LAKE"})  # type: ignore[attr-defined]
    assert "This name is taken." in taken.content.decode()
    company = Company(application.merchant, application, owner, client)  # type: ignore[arg-type]
    assert company.save("company").status_code == 302
    page = signed_in(owner).get(f"{company.base}change/").content.decode()
    assert "reviewer" not in page  # which of our people it was is not told
