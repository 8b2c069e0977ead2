"""The commands: what they print, and that they fail where nothing was done."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from reconciliation.models import Bill, BillRow
from tests.conftest import World
from tests.fakes import bills
from tests.reconciliation.conftest import DAY, row_of


@pytest.fixture
def run(published: Any, world: World) -> Any:
    def call(name: str, *arguments: Any) -> str:
        out = StringIO()
        call_command(name, *map(str, arguments), "--account", world.account.payment_no, "--day", str(DAY), stdout=out)
        return out.getvalue()

    return call


def test_a_bill_is_fetched_read_and_compared(run: Any, published: Any, paid: Any) -> None:
    published.bills[DAY] = bills.make([row_of(paid()), row_of(paid(), amount=1)])
    assert "imported, 2 rows" in run("bill_fetch")
    assert "1 new differences, 1 open" in run("reconcile")
    assert "0 new differences, 1 open" in run("reconcile")


def test_a_bill_that_is_not_there_fails(run: Any) -> None:
    with pytest.raises(CommandError, match="no bill yet"):
        run("bill_fetch")
    with pytest.raises(CommandError, match="nothing is known"):
        run("reconcile")


def test_a_file_is_imported_and_kept_where_it_was(run: Any, paid: Any, tmp_path: Path) -> None:
    source = tmp_path / "from-the-channel.jsonl"
    source.write_bytes(bills.make([row_of(paid())]))
    assert "imported, 1 rows" in run("bill_import", source)
    assert "imported, 1 rows" in run("bill_import", source)
    assert source.exists()
    assert BillRow.objects.count() == 1
    source.write_bytes(bills.make([row_of(paid())]))
    with pytest.raises(CommandError, match="--replace"):
        run("bill_import", source)
    assert "imported" in run("bill_import", source, "--replace")


def test_a_refused_file_says_why_and_where(run: Any, paid: Any, tmp_path: Path) -> None:
    source = tmp_path / "b"
    source.write_bytes(bills.make([row_of(paid())], end=2))
    with pytest.raises(CommandError, match=r"refused \(line 3\): the end says 2 rows"):
        run("bill_import", source)
    assert Bill.objects.get().state == "refused"
    with pytest.raises(CommandError, match="No such file"):
        run("bill_import", tmp_path / "nothing")


@pytest.mark.django_db
def test_reconcile_says_when_nothing_is_due() -> None:
    out = StringIO()
    call_command("reconcile", stdout=out)
    assert out.getvalue().strip() == "no day is due"
