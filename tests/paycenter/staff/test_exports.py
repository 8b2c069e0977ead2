"""A list as a file: written in the background, gone on with after a crash, given to its owner only."""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from merchants.models import AppMerchant, User
from paycenter.models import Event, ListExport, SavedView
from paycenter.staff import exports
from paycenter.staff.sheets import csv_line
from reconciliation.models import Bill, BillRow
from tests import factories
from tests.conftest import World
from tests.fakes.exporting import FILES as MINE
from tests.fakes.exporting import downloaded
from tests.fakes.staff import make_staff, signed_in
from trades.models import Trade

LIST = "/admin/trades/trade/"


@pytest.fixture(autouse=True)
def _place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr(exports, "PORTION", 2)


@pytest.fixture
def desk(db: None) -> Client:
    return signed_in(make_staff("finance"))


@pytest.fixture
def orders(world: World) -> list[str]:
    made = [factories.trade_open(app=world.app, order=world.order(subject=f"Fee {n}", app_order_no=f"=ORD{n}"))
            for n in range(5)]  # fmt: skip
    return [trade.trade_no for trade in made]


def start(desk: Client, query: str = "", kind: str = "csv") -> ListExport:
    assert desk.post(f"{LIST}exports/start/{query}", {"kind": kind}).status_code == 302
    return ListExport.objects.latest("pk")


def fresh(export: ListExport) -> ListExport:
    return ListExport.objects.get(pk=export.pk)


def test_a_filtered_list_becomes_a_file(desk: Client, orders: list[str]) -> None:
    Trade.objects.filter(trade_no=orders[2]).update(phone_tail="7777")
    whole, some = start(desk), start(desk, "?q=7777")
    assert "<progress" in desk.get(MINE).content.decode()
    assert exports.exports_write() == 2
    text = downloaded(desk, whole).decode("utf-8-sig")
    assert [line.split(",")[0] for line in text.splitlines()[1:]] == orders[::-1]
    assert "'=ORD3" in text  # no spreadsheet runs it
    assert orders[2] in downloaded(desk, some).decode()
    assert (fresh(whole).rows, fresh(some).rows, fresh(whole).percent) == (5, 1, 100)
    assert "An export is ready." in desk.get(LIST).content.decode()
    assert "An export is ready." not in desk.get(LIST).content.decode()
    told = set(Event.objects.filter(object_type="listexport", object_id=whole.pk).values_list("type", flat=True))
    assert told == {"listexport.requested", "listexport.finished", "listexport.downloaded"}


def test_lists_in_another_order_than_their_own_numbers(desk: Client, world: World) -> None:
    """An app's attempts come in the order of their orders, rows of bills in that of bills and lines."""
    made = [factories.trade_pay(app=world.app, order=world.order(), method="fake_qr").attempt_no for _n in range(3)]
    bill = Bill.objects.create(account=world.account, day=date(2026, 3, 3))
    for line in (2, 3, 4):
        BillRow.objects.create(bill=bill, line=line, account=world.account, kind="payment", state="succeeded",
                               key=f"N{line}", amount=100, currency="CNY", occurred_at=timezone.now(),
                               order_no=f"N{line}")  # fmt: skip
    app_staff = signed_in(make_staff("app", app=world.app))
    for client, place, column, wanted in ((app_staff, "trades/attempt", 0, made[::-1]),
                                          (desk, "reconciliation/billrow", 9, ["N4", "N3", "N2"])):  # fmt: skip
        assert client.post(f"/admin/{place}/exports/start/", {"kind": "csv"}).status_code == 302
        exports.exports_write()
        text = downloaded(client, ListExport.objects.latest("pk")).decode("utf-8-sig")
        assert [row[column] for row in csv.reader(text.splitlines())][1:] == wanted


def test_a_sheet_opens(desk: Client, orders: list[str]) -> None:
    export = start(desk, kind="xlsx")
    exports.exports_write()
    with zipfile.ZipFile(io.BytesIO(downloaded(desk, export))) as archive:
        assert orders[0] in archive.read("xl/worksheets/sheet1.xml").decode()


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_killed_worker_loses_and_doubles_nothing(
    desk: Client, orders: list[str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    export, plain, calls = start(desk, kind=kind), exports._store, []

    def dies(*args: Any, **more: Any) -> None:
        plain(*args, **more)
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt  # as far as our code goes, the process is gone

    monkeypatch.setattr(exports, "_store", dies)
    with pytest.raises(KeyboardInterrupt):
        exports.exports_write()
    monkeypatch.setattr(exports, "_store", plain)
    assert 0 < fresh(export).rows < 5
    assert exports.exports_write() == 0  # its lease still runs
    ListExport.objects.update(next_run_at=timezone.now())
    with exports.export_path(export).open("ab") as out:
        out.write(b"half a li")
    assert exports.exports_write() == 1
    found = downloaded(desk, export)
    sheet = "xl/worksheets/sheet1.xml"
    text = (found if kind == "csv" else zipfile.ZipFile(io.BytesIO(found)).read(sheet)).decode()
    assert [text.count(number) for number in orders] == [1] * 5
    assert "half a li" not in text


def test_limits_are_kept_and_said(desk: Client, orders: list[str], settings: Any) -> None:
    settings.EXPORT_ROWS = 3
    export = start(desk)
    exports.exports_write()
    assert (fresh(export).rows, fresh(export).cut) == (3, True)
    assert "cut at the limit" in desk.get(MINE).content.decode()
    for _n in range(exports.AT_ONCE):
        start(desk)
    before = ListExport.objects.count()
    page = desk.post(f"{LIST}exports/start/", {"kind": "csv"}, follow=True).content.decode()
    assert "still being written" in page
    assert ListExport.objects.count() == before


def test_cancelling_stops_it_and_removes_the_file(
    desk: Client, orders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export, plain = start(desk), exports._store

    def cancelled(row: ListExport, *args: Any, **more: Any) -> None:
        if more.get("alive"):
            assert desk.post(f"{MINE}{row.pk}/cancel/").status_code == 302
        plain(row, *args, **more)

    monkeypatch.setattr(exports, "_store", cancelled)
    exports.exports_write()
    assert fresh(export).state == "cancelled"
    assert not exports.export_path(export).exists()
    assert desk.get(f"{MINE}{export.pk}/file/").status_code == 404


def test_only_the_owner_gets_it_and_only_while_allowed(desk: Client, orders: list[str]) -> None:
    export = start(desk)
    exports.exports_write()
    other = signed_in(make_staff("operator", username="other", is_superuser=True))
    for path in ("file/", "change/"):
        assert other.get(f"{MINE}{export.pk}/{path}").status_code == 404
    assert other.post(f"{MINE}{export.pk}/cancel/").status_code == 404
    assert export.page not in other.get(MINE).content.decode()
    assert desk.get(f"{MINE}{export.pk}/file/").status_code == 200
    ListExport.objects.update(reader=export.reader.replace("finance", "operator"))  # was somebody else then
    assert desk.get(f"{MINE}{export.pk}/file/").status_code == 403
    User.objects.filter(username="finance").update(is_active=False)
    assert desk.get(f"{MINE}{export.pk}/file/").status_code != 200


def test_a_tenants_export_holds_their_rows_only(world: World, orders: list[str]) -> None:
    foreign = factories.make_merchant()
    factories.make_account(foreign)
    AppMerchant.objects.create(app=world.app, merchant=foreign)
    theirs = factories.trade_open(app=world.app, order=factories.make_order(foreign))
    clerk = signed_in(make_staff("merchant", merchant=foreign))
    export = start(clerk)
    exports.exports_write()
    text = downloaded(clerk, export).decode()
    assert theirs.trade_no in text
    assert not any(number in text for number in orders)


def test_who_lost_the_list_meanwhile_gets_nothing(desk: Client, orders: list[str]) -> None:
    export = start(desk)
    User.objects.filter(username="finance").update(is_active=False)
    exports.exports_write()
    assert (fresh(export).state, fresh(export).file and exports.export_path(export).exists()) == ("failed", False)


def test_files_go_when_their_time_is_over(desk: Client, orders: list[str]) -> None:
    export = start(desk)
    exports.exports_write()
    assert exports.exports_forget() == 0
    ListExport.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert desk.get(f"{MINE}{export.pk}/file/").status_code == 404
    stray = exports.exports_root() / f"{'a' * 32}.csv"
    stray.write_text("left behind")
    os.utime(stray, (1, 1))
    assert exports.exports_forget() == 1
    assert not stray.exists()
    assert (fresh(export).state, exports.export_path(export).exists()) == ("gone", False)


def test_semicolons_for_spreadsheets_that_expect_them(desk: Client, orders: list[str]) -> None:
    Trade.objects.filter(trade_no=orders[0]).update(subject="a;=HYPERLINK(1)")
    export = start(desk, kind="csv2")
    exports.exports_write()
    answer = desk.get(f"{MINE}{export.pk}/file/")
    assert answer["Content-Disposition"].endswith('.csv"')
    rows = list(csv.reader(b"".join(answer.streaming_content).decode("utf-8-sig").splitlines(), delimiter=";"))
    assert [row[0] for row in rows[1:]] == orders[::-1]
    assert rows[-1][5] == "a;'=HYPERLINK(1)"


def test_exports_say_their_filters_in_words(desk: Client, orders: list[str]) -> None:
    start(desk, "?state__exact=waiting&day_from=2026-11-01&day_to=2026-11-03")
    start(desk, "?q=7777&day_all=1")
    start(desk)
    shown = re.sub(r"</?b>", "", desk.get(MINE).content.decode())
    assert "state: waiting for payment · day: 2026-11-01 – 2026-11-03" in shown
    assert "Search: 7777<" in shown
    assert "day: Last 31 days" in shown
    assert "state__exact" not in shown


@pytest.mark.parametrize("text", ["a;=1+1", "a,@SUM(A1)", "a\n=1", "a\t+1", "a;;-1"])
def test_what_another_separator_would_make_a_formula_is_none_either(text: str) -> None:
    for separator in ",;":
        assert not re.search(r"[,;\t\n][=+@-]", csv_line([text, "x"], separator))
    assert csv_line(["3-1-802, a-b"]) == '"3-1-802, a-b"\r\n'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert csv_line([text]).lstrip('"').startswith("'")
    assert csv_line([-5]) == "-5\r\n"


def test_lists_without_columns_are_not_exported(desk: Client, db: None) -> None:
    for path in ("paycenter/exchange", "notifications/alert"):
        assert desk.post(f"/admin/{path}/exports/start/", {"kind": "csv"}).status_code == 404
    assert desk.post(f"{LIST}exports/start/", {"kind": "exe"}).status_code == 404
    assert desk.get(f"{LIST}exports/start/").status_code == 405


def test_filters_are_kept_under_a_name_and_shared_with_the_role(desk: Client, world: World) -> None:
    save = {"name": "Open ones", "query": "state__exact=waiting", "shared": "1"}
    assert desk.post(f"{LIST}views/save/", save, follow=True).status_code == 200
    assert 'href="?state__exact=waiting"' in desk.get(LIST).content.decode()
    colleague = signed_in(make_staff("finance", username="finance2"))
    stranger = signed_in(make_staff("service"))
    clerk = signed_in(make_staff("merchant", merchant=world.merchant))
    assert "Open ones" in colleague.get(LIST).content.decode()
    assert "Open ones" not in stranger.get(LIST).content.decode()
    assert "Open ones" not in clerk.get(LIST).content.decode()
    assert "Open ones" not in colleague.get("/admin/refunds/refund/").content.decode()
    view = SavedView.objects.get()
    assert colleague.post(f"{LIST}views/{view.pk}/delete/").status_code == 404
    desk.post(f"{LIST}views/{view.pk}/delete/")
    assert not SavedView.objects.exists()
    desk.post(f"{LIST}views/save/", {"name": " ", "query": ""})
    assert not SavedView.objects.exists()


def test_a_filter_of_one_company_stays_in_it(world: World) -> None:
    other = factories.make_merchant()
    mine = signed_in(make_staff("merchant", merchant=world.merchant))
    near = signed_in(make_staff("merchant", username="near", merchant=world.merchant))
    far = signed_in(make_staff("merchant", username="far", merchant=other))
    mine.post(f"{LIST}views/save/", {"name": "Ours", "query": "q=1", "shared": "1"})
    assert "Ours" in near.get(LIST).content.decode()
    assert ">Ours" not in far.get(LIST).content.decode()
