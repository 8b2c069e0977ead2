import shutil

import pytest

from deploy.demo import prepared
from deploy.demo.layout import ROOT, read


@pytest.fixture
def layout(tmp_path):
    (tmp_path / "run").mkdir()
    found = read({"PAYCENTER_VAR": str(tmp_path)})
    found.seeded.write_text("{}")
    (tmp_path / "paycenter.sqlite3").touch()
    return found


def test_only_a_finished_preparation_counts(layout):
    assert not prepared.is_current(layout)

    prepared.remember(layout)

    assert prepared.is_current(layout)


@pytest.mark.parametrize("missing", ["seed.json", "paycenter.sqlite3", "run/prepared"])
def test_without_its_database_or_record_nothing_is_prepared(layout, missing):
    prepared.remember(layout)
    (layout.var / missing).unlink()

    assert not prepared.is_current(layout)


def test_another_database_is_prepared_anew(layout):
    prepared.remember(layout)

    assert not prepared.is_current(read({"PAYCENTER_VAR": str(layout.var), "DATABASE_URL": "postgres://elsewhere/x"}))


@pytest.mark.parametrize("change", ["new", "changed", "packages"])
def test_another_schema_is_prepared_anew(layout, tmp_path, change):
    root = tmp_path / "root"
    for folder in ROOT.glob("*/migrations"):
        shutil.copytree(folder, root / folder.relative_to(ROOT))
    shutil.copy(ROOT / "requirements.txt", root)
    before = prepared.fingerprint(layout, root)
    assert before == prepared.fingerprint(layout)
    if change == "new":
        (root / "trades" / "migrations" / "9999_more.py").write_text("")
    else:
        name = "requirements.txt" if change == "packages" else "trades/migrations/0001_initial.py"
        with (root / name).open("a") as out:
            out.write("#\n")

    assert prepared.fingerprint(layout, root) != before
