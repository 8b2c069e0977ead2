import struct

import pytest

from deploy.checks import catalogues
from deploy.demo.layout import ROOT

PO = '''
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\nPlural-Forms: nplurals=1; plural=0;\\n"

#: x.py:1
msgid "paid"
msgstr "已支付"

msgctxt "button"
msgid "pay"
msgstr ""
"付"
"款"

msgid "%d order"
msgid_plural "%d orders"
msgstr[0] "%d 笔订单"

#, fuzzy
msgid "guess"
msgstr "猜的"

msgid "untranslated"
msgstr ""

#~ msgid "old"
#~ msgstr "旧"
'''
HEADER = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=1; plural=0;\n"
COMPILED = {"": HEADER, "paid": "已支付", "button\x04pay": "付款", "%d order\0%d orders": "%d 笔订单"}


def compiled(entries):
    """A GNU .mo file, written from its specification."""
    pairs = sorted((k.encode(), v.encode()) for k, v in entries.items())
    count = len(pairs)
    offset = 28 + 16 * count
    tables, texts = [b"", b""], b""
    for column in (0, 1):
        for pair in pairs:
            tables[column] += struct.pack("<II", len(pair[column]), offset + len(texts))
            texts += pair[column] + b"\0"
    return struct.pack("<7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0) + tables[0] + tables[1] + texts


@pytest.fixture
def catalogue(tmp_path):
    folder = tmp_path / "app" / "locale" / "zh_Hans" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.po").write_text(PO, encoding="utf-8")

    def write(entries):
        (folder / "django.mo").write_bytes(compiled(entries))
        return catalogues.stale(tmp_path)

    write.root = tmp_path
    return write


def test_a_catalogue_of_the_same_words_is_fresh(catalogue):
    assert catalogue(COMPILED) == []


@pytest.mark.parametrize(
    "change",
    [
        {"paid": "付了"}, {"button\x04pay": "付"}, {"%d order\0%d orders": "%d 笔"},
        {"guess": "猜的"}, {"old": "旧"}, {"untranslated": "译"},
    ],
)  # fmt: skip
def test_another_word_is_noticed(catalogue, change):
    (problem,) = catalogue(COMPILED | change)

    assert "does not match django.po" in problem


def test_a_forgotten_word_is_noticed(catalogue):
    assert len(catalogue({k: v for k, v in COMPILED.items() if k != "paid"})) == 1


def test_a_missing_file_is_noticed(catalogue):
    (problem,) = catalogues.stale(catalogue.root)

    assert problem.endswith("django.mo is missing")


def test_ours_are_found():
    assert list(ROOT.glob("*/locale/**/*.po")) or list(ROOT.glob("locale/**/*.po"))
