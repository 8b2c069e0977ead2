"""The flat XML of API v2: what is read, what is refused before anything is made of it."""

from __future__ import annotations

import pytest

from channels.wechat.xml import MAX_BYTES, read_xml, write_xml

BOMB = b'<!DOCTYPE xml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><xml><sign>&b;</sign></xml>'
FILE = b'<!DOCTYPE xml [<!ENTITY f SYSTEM "file:///etc/hostname">]><xml><sign>&f;</sign></xml>'


def test_values_come_without_the_blanks_around_them():
    body = "<xml>\n <a> <![CDATA[甲 & <乙>]]> </a>\n <b>1</b><c></c><d/></xml>".encode()
    assert read_xml(body) == {"a": "甲 & <乙>", "b": "1", "c": "", "d": ""}


def test_what_is_written_is_read_again_and_has_no_line_ends():
    fields = {"body": "A&B <1> \"'", "total_fee": "1"}
    assert read_xml(write_xml(fields)) == fields
    assert write_xml({"return_code": "SUCCESS"}) == b"<xml><return_code>SUCCESS</return_code></xml>"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not well-formed"), (b"<xml>", "not well-formed"), (b"{}", "not well-formed"),
        (b"\xff\xfe", "not well-formed"), (b"<xml><a>\xff</a></xml>", "not well-formed"),
        (b"<xml><a>&b;</a></xml>", "not well-formed"), (b"<html><a>1</a></html>", "flat"),
        (b"<xml><a><b>1</b></a></xml>", "flat"), (b"<xml>" + b"<a>" * 9000 + b"</xml>", "flat"),
        (b"<xml><a>1</a><a>2</a></xml>", "twice"), (b"<!DOCTYPE xml><xml><a>1</a></xml>", "document type"),
        (BOMB, "document type"), (FILE, "document type"),
        (b"<xml><a>" + b"x" * MAX_BYTES + b"</a></xml>", "too long"),
    ],
)  # fmt: skip
def test_everything_else_is_refused(body, why):
    with pytest.raises(ValueError, match=why):
        read_xml(body)
