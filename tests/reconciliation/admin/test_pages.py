"""The pages finance works on: bills, days, cases, settlement."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from merchants.models import User
from paycenter.models import Event
from reconciliation import files, sweeps
from reconciliation.models import BankProfile, Bill, Case, ReconciliationDay, SettlementBatch
from reconciliation.settlement.models import SettlementCalendar, SettlementTerms
from tests.conftest import World
from tests.factories import fresh
from tests.fakes import bills
from tests.fakes.exporting import exported, exported_rows
from tests.fakes.staff import make_staff, signed_in
from tests.reconciliation.conftest import DAY, reconcile, row_of, take_in

BILLS, CASES, DAYS = (f"/admin/reconciliation/{name}/" for name in ("bill", "case", "reconciliationday"))
BATCHES = "/admin/reconciliation/settlementbatch/"


@pytest.fixture(autouse=True)
def _published(published: Any) -> None:
    """Every test here reads bills."""


@pytest.fixture
def ann(db: None) -> User:
    return make_staff("finance", username="ann")


@pytest.fixture
def finance(ann: User) -> Client:
    return signed_in(ann)


@pytest.fixture
def case(world: World, paid: Any) -> Case:
    reconcile(world, [row_of(paid(amount=5000), amount=4000)])
    return Case.objects.get()


def act(client: Client, case: Case, name: str, **data: str) -> Any:
    return client.post(f"{CASES}{case.pk}/act/{name}/", data, follow=True)


# ---- bills -----------------------------------------------------------------------------------------------------
def upload(client: Client, world: World, content: bytes, **more: str) -> Any:
    data = {"account": world.account.pk, "day": str(DAY), "kind": "trade", **more}
    file = SimpleUploadedFile("bill of the day.csv", content)
    return client.post(f"{BILLS}upload/", {**data, "file": file}, follow=True)


def test_a_bill_is_uploaded_and_read_in_the_background(finance: Client, world: World, paid: Any) -> None:
    page = upload(finance, world, bills.make([row_of(paid())])).content.decode()
    assert "is being read" in page
    assert 'http-equiv="refresh"' in page
    sweeps.bills_import_due()
    bill = Bill.objects.get()
    assert (bill.state, bill.uploaded_by) == ("imported", "staff:ann")
    page = finance.get(f"{BILLS}{bill.pk}/change/").content.decode()
    assert 'http-equiv="refresh"' not in page
    assert bill.sha256 in page


def test_a_refused_bill_says_why_and_where(finance: Client, world: World, paid: Any) -> None:
    upload(finance, world, bills.make([row_of(paid())], end=9))
    sweeps.bills_import_due()
    page = finance.get(f"{BILLS}{Bill.objects.get().pk}/change/").content.decode()
    assert "line 3: the end says 9 rows" in page
    assert "line 3: the end says 9 rows" in finance.get(BILLS).content.decode()


def test_another_file_for_that_day_needs_a_tick(finance: Client, world: World, paid: Any) -> None:
    take_in(world, [row_of(paid())])
    other = bills.make([row_of(paid())])
    assert "was imported already" in upload(finance, world, other).content.decode()
    assert "is being read" in upload(finance, world, other, replace="on").content.decode()


def test_the_original_file_is_given_back_and_noted(finance: Client, world: World, paid: Any) -> None:
    bill = take_in(world, [row_of(paid())])
    answer = finance.get(f"{BILLS}{bill.pk}/file/")
    assert b"".join(answer.streaming_content) == files.bill_path(bill.file_path).read_bytes()  # type: ignore[attr-defined]
    taken = Event.objects.get(type="bill.downloaded")
    assert (taken.actor, taken.detail["trail"].get("after")) == ("staff:ann", {})


def test_asking_the_channel_again_is_a_post(finance: Client, world: World, paid: Any) -> None:
    bill = take_in(world, [row_of(paid())])
    assert finance.get(f"{BILLS}{bill.pk}/fetch/").status_code == 405
    finance.post(f"{BILLS}{bill.pk}/fetch/")
    assert fresh(bill).state == "awaited"


@pytest.mark.parametrize("role", ["service", "auditor"])
def test_who_only_looks_neither_uploads_nor_downloads(world: World, paid: Any, role: str) -> None:
    bill = take_in(world, [row_of(paid())])
    client = signed_in(make_staff(role))
    assert client.get(f"{BILLS}upload/").status_code == 403
    assert client.get(f"{BILLS}{bill.pk}/file/").status_code == 403
    assert client.post(f"{BILLS}{bill.pk}/fetch/").status_code == 403
    assert fresh(bill).state == "imported"


# ---- days ------------------------------------------------------------------------------------------------------
def test_a_day_shows_both_sides_and_its_cases(finance: Client, case: Case) -> None:
    day = ReconciliationDay.objects.get()
    page = finance.get(f"{DAYS}{day.pk}/change/").content.decode()
    for text in ("¥50.00", "¥40.00", "another amount", case.key):
        assert text in page
    assert "1 open" in finance.get(DAYS).content.decode()


def test_a_day_is_compared_again_on_demand(finance: Client, case: Case) -> None:
    day = ReconciliationDay.objects.get()
    assert day.next_match_at is None
    finance.post(f"{DAYS}{day.pk}/compare/")
    assert fresh(day).next_match_at is not None
    sweeps.days_match_due()
    assert fresh(day).next_match_at is None
    assert signed_in(make_staff("auditor")).post(f"{DAYS}{day.pk}/compare/").status_code == 403


# ---- cases -----------------------------------------------------------------------------------------------------
def test_a_case_shows_both_sides_advice_and_history(finance: Client, case: Case) -> None:
    page = finance.get(f"{CASES}{case.pk}/change/").content.decode()
    for text in ("¥50.00", "¥40.00", "Ask the channel which amount is right", "Difference found", case.trade_no):
        assert text in page


def test_a_case_is_taken_and_closed_with_a_reason(finance: Client, case: Case, ann: User) -> None:
    act(finance, case, "take")
    assert fresh(case).owner == ann
    assert "Please give a reason" in act(finance, case, "close", outcome="accepted").content.decode()
    assert fresh(case).state == "open"
    act(finance, case, "close", outcome="accepted", reason="agreed with the channel")
    assert (fresh(case).state, fresh(case).closed_by) == ("closed", ann)


def test_a_large_case_takes_two_people_however_it_is_posted(finance: Client, case: Case, settings: Any) -> None:
    settings.RECONCILIATION_TWO_PEOPLE_ABOVE = 100
    act(finance, case, "close", outcome="corrected", reason="credited")
    assert fresh(case).state == "closing"
    page = act(finance, case, "confirm").content.decode()
    assert "cannot confirm" in page
    assert "dialog-confirm" not in page
    assert fresh(case).state == "closing"
    bob = signed_in(make_staff("finance", username="bob"))
    assert "dialog-confirm" in bob.get(f"{CASES}{case.pk}/change/").content.decode()
    act(bob, case, "confirm")
    assert fresh(case).state == "closed"


@pytest.mark.parametrize("role", ["service", "auditor", "operator"])
def test_who_may_not_settle_changes_nothing(case: Case, role: str) -> None:
    client = signed_in(make_staff(role))
    assert client.get(f"{CASES}{case.pk}/change/").status_code == 200
    for name in ("take", "ask", "close", "confirm", "refuse", "reopen"):
        assert act(client, case, name, outcome="accepted", reason="because").status_code == 403
    assert fresh(case).state == "open"


def test_acts_are_posts_and_known_ones(finance: Client, case: Case) -> None:
    assert finance.get(f"{CASES}{case.pk}/act/close/").status_code == 405
    assert finance.post(f"{CASES}{case.pk}/act/delete/").status_code == 404


def test_a_case_is_found_by_any_of_its_numbers(finance: Client, case: Case) -> None:
    for number in (case.trade_no, case.attempt_no, case.key):
        assert case.trade_no in finance.get(CASES, {"q": number}).content.decode()
    assert case.trade_no not in finance.get(CASES, {"q": "nothing"}).content.decode()


def test_merchant_staff_see_their_own_cases_without_names_of_ours(world: World, case: Case) -> None:
    act(signed_in(make_staff("finance", username="wang.li")), case, "take")
    client = signed_in(make_staff("merchant", merchant=world.merchant))
    page = client.get(f"{CASES}{case.pk}/change/").content.decode()
    assert case.trade_no in page
    assert "wang.li" not in page
    assert client.get(DAYS).status_code == 200
    assert client.get(BILLS).status_code == 403


# ---- exports ---------------------------------------------------------------------------------------------------
def test_cases_as_csv_follow_the_lists_filters(finance: Client, case: Case, in_english: None) -> None:
    (row,) = exported_rows(finance, CASES)
    assert (row["difference"], row["amount"], row["here"], row["in the bill"]) == (
        "another amount", "10.00", "50.00", "40.00"
    )
    assert exported_rows(finance, CASES, state="closed") == []


def test_cases_as_xlsx_open_as_a_workbook(finance: Client, case: Case) -> None:
    Case.objects.update(reason="=HYPERLINK(1)")
    book = zipfile.ZipFile(io.BytesIO(exported(finance, CASES, "xlsx")))
    assert book.testzip() is None
    sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    rows = sheet.findall(f".//{space}row")
    assert len(rows) == 2
    texts = [node.text for node in rows[1].iter(f"{space}t")]
    assert "10.00" in texts
    assert "=HYPERLINK(1)" in texts  # text, not a formula
    assert not rows[1].findall(f".//{space}f")


def test_tenants_exports_do_not_name_the_centers_staff(world: World, case: Case, in_english: None) -> None:
    finance = signed_in(make_staff("finance", username="wang.li"))
    act(finance, case, "take")
    assert exported_rows(finance, CASES)[0]["owner"] == "wang.li"
    owner = signed_in(make_staff("merchant", merchant=world.merchant))
    assert b"wang.li" not in exported(owner, CASES)
    assert "wang.li" in finance.get(f"{CASES}?state=all").content.decode()
    assert "wang.li" not in owner.get(f"{CASES}?state=all").content.decode()


def test_who_sees_no_cases_exports_none(world: World, case: Case, finance: Client) -> None:
    app = signed_in(make_staff("app", app=world.app))
    assert app.post(f"{CASES}exports/start/", {"kind": "csv"}).status_code == 404
    assert finance.post(f"{CASES}exports/start/", {"kind": "pdf"}).status_code == 404


# ---- settlement ------------------------------------------------------------------------------------------------
@pytest.fixture
def batch(world: World, paid: Any) -> SettlementBatch:
    SettlementTerms.objects.create(account=world.account, days_after=1)
    reconcile(world, [row_of(paid(amount=10_000), fee=60)])
    return SettlementBatch.objects.get()


def test_a_statement_settles_a_batch(finance: Client, world: World, batch: SettlementBatch) -> None:
    profile = BankProfile.objects.create(
        name="B", date_column="day", amount_column="sum", reference_column="no", purpose_column="what",
        senders={"channel": world.account.payment_no},
    )  # fmt: skip
    day = DAY + timedelta(days=3)
    wrong = SimpleUploadedFile("s.csv", b"day,no,sum,what\nx,1,2,channel\n")
    page = finance.post(f"{BATCHES}statement/", {"profile": profile.pk, "file": wrong}).content.decode()
    assert "line 2" in page
    right = SimpleUploadedFile("s.csv", f"day,no,sum,what\n{day},1,99.40,channel\n".encode())
    page = finance.post(f"{BATCHES}statement/", {"profile": profile.pk, "file": right}, follow=True).content.decode()
    assert "1 new lines" in page
    assert fresh(batch).state == "settled"
    assert "¥99.40" in finance.get(f"{BATCHES}{batch.pk}/change/").content.decode()


def test_a_difference_is_accepted_by_who_may(finance: Client, batch: SettlementBatch) -> None:
    SettlementBatch.objects.update(state="different", received=9000)
    auditor = signed_in(make_staff("auditor"))
    assert auditor.post(f"{BATCHES}{batch.pk}/act/accept/", {"reason": "x"}).status_code == 403
    finance.post(f"{BATCHES}{batch.pk}/act/accept/", {"reason": "held back"})
    assert (fresh(batch).state, fresh(batch).reason) == ("accepted", "held back")


def test_a_calendar_holds_days_only(finance: Client) -> None:
    url = "/admin/reconciliation/settlementcalendar/add/"
    assert finance.post(url, {"name": "C", "holidays": "spring", "workdays": ""}).status_code == 200
    days = "2027-02-18\r\n2027-02-17\r\n"
    assert finance.post(url, {"name": "C", "holidays": days, "workdays": ""}).status_code == 302
    made = SettlementCalendar.objects.get()
    assert (made.holidays, made.workdays) == (["2027-02-17", "2027-02-18"], [])


def test_a_bank_format_names_accounts_that_exist(finance: Client, world: World) -> None:
    url, number = "/admin/reconciliation/bankprofile/add/", world.account.payment_no
    form = {"name": "B", "encoding": "gbk", "delimiter": ",", "date_column": "d", "date_format": "%Y-%m-%d",
            "amount_column": "a", "reference_column": "r", "purpose_column": "p", "currency": "CNY"}  # fmt: skip
    for wrong in ("Tenpay", "Tenpay = Z9999999999", f"= {number}"):
        assert finance.post(url, {**form, "senders": wrong}).status_code == 200, wrong
    assert finance.post(url, {**form, "senders": f"Tenpay = {number}"}).status_code == 302
    made = BankProfile.objects.get()
    assert made.senders == {"Tenpay": number}
    read = signed_in(make_staff("operator")).get(f"/admin/reconciliation/bankprofile/{made.pk}/change/")
    assert f"Tenpay = {number}" in read.content.decode()


def test_a_bill_is_asked_for_by_hand(finance: Client, world: World, published: bills.Published) -> None:
    published.bills[DAY] = bills.make([bills.line(order_no="X1")])
    data = {"account": world.account.pk, "day": str(DAY), "kind": "trade"}
    assert "The channel is being asked." in finance.post(f"{BILLS}ask/", data, follow=True).content.decode()
    sweeps.bills_fetch_due()
    sweeps.bills_import_due()
    assert Bill.objects.get().rows_read == 1
    assert "has not begun" in finance.post(f"{BILLS}ask/", {**data, "day": "2999-01-01"}).content.decode()
    published.rule = None
    assert "publishes no bills" in finance.post(f"{BILLS}ask/", data).content.decode()


@pytest.mark.parametrize(("result", "found"), [("open", 1), ("agrees", 1), ("waiting", 1), ("", 3)])
def test_days_are_found_by_their_result(finance: Client, world: World, paid: Any, result: str, found: int) -> None:
    reconcile(world, [row_of(paid(amount=5000), amount=4000)])
    reconcile(world, [], day=DAY + timedelta(days=1))
    ReconciliationDay.objects.create(account=world.account, day=DAY + timedelta(days=2))
    page = finance.get(DAYS, {"result": result} if result else {}).content.decode()
    assert page.count('class="pc-chip') == found


def test_an_empty_list_says_what_comes_next(finance: Client) -> None:
    assert "the morning after an account took money" in finance.get(BILLS).content.decode()
    assert "Nothing matches" in finance.get(BILLS, {"state__exact": "refused"}).content.decode()


def test_a_statement_needs_a_format_first(finance: Client, world: World) -> None:
    assert finance.get(f"{BATCHES}statement/", follow=True).redirect_chain[-1][0].endswith("bankprofile/add/")
