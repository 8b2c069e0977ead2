"""Oversized requests are refused by their stated length, and nothing of them is read, let alone kept on a disk."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.test import Client

from paycenter.body_limit import STRANGERS_BYTES
from paycenter.upload_handling import ShortNamesUploadHandler
from tests.fakes.staff import make_staff, signed_in

HEAD = b'--B\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"; filename="a"\r\n\r\n'


class Body(BytesIO):
    """Counts what is taken of it."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found


def post(client: Client, path: str, size: int, **meta: Any) -> tuple[int, int]:
    """Status, and how much was read of a body of so many bytes."""
    body = Body(HEAD + b"x" * (size - len(HEAD) - 9) + b"\r\n--B--\r\n")
    client.handler.enforce_csrf_checks = True
    client.cookies["csrftoken"] = "c" * 32  # whoever makes up a cookie gets as far as the token in the form
    said = {"CONTENT_TYPE": "multipart/form-data; boundary=B", "CONTENT_LENGTH": str(size), **meta}
    answer = client.post(path, b"", "text/plain", **{"wsgi.input": body, **said})
    return answer.status_code, body.taken


@pytest.mark.parametrize("path", ["/c/abcdef/pay", "/q/abcdef", "/admin/login/", "/nowhere", "/admin/trades/trade/"])
def test_a_stranger_cannot_send_an_upload(client: Client, db: None, path: str) -> None:
    assert post(client, path, STRANGERS_BYTES + 1) == (413, 0)


@pytest.mark.parametrize("path", ["/v1/gopay", "/notify/alipay_qr/A1"])
def test_programs_have_bounds_of_their_own(client: Client, db: None, path: str) -> None:
    status, taken = post(client, path, STRANGERS_BYTES + 1)
    assert status in (404, 413)
    assert taken == 0


def test_a_form_of_ordinary_size_gets_to_the_check_of_its_token(client: Client, db: None) -> None:
    status, taken = post(client, "/admin/login/", 2000)
    assert status == 403
    assert taken > 0


def test_staff_may_send_what_a_bill_may_be_and_no_more(db: None, settings: Any) -> None:
    settings.BILL_UPLOAD_LIMIT = 0
    staff = signed_in(make_staff("operator"))
    assert post(staff, "/admin/trades/trade/", STRANGERS_BYTES + 1)[0] != 413
    assert post(staff, "/admin/trades/trade/", 9 * 1024 * 1024) == (413, 0)


@pytest.mark.parametrize("length", ["", "-5", "abc", "１２３", "9" * 5000])
def test_a_length_that_is_no_number(client: Client, db: None, length: str) -> None:
    assert post(client, "/c/abcdef/pay", 2000, CONTENT_LENGTH=length)[0] in (400, 404, 413)


def test_a_query_that_no_database_can_be_asked_for(db: None) -> None:
    staff = signed_in(make_staff("operator"))
    assert staff.get("/admin/trades/trade/?method=A%00B").status_code == 400


@pytest.mark.parametrize(
    "name", ["a." + "b" * 5000, "x" * 5000, "x" * 5000 + ".pdf", "单" * 300 + "." + "单" * 300]
)
def test_a_large_file_may_have_any_name(name: str) -> None:
    handler = ShortNamesUploadHandler()
    handler.new_file("file", name, "application/pdf", 10, None)
    handler.receive_data_chunk(b"%PDF-1.7", 0)
    assert handler.file_complete(8).read() == b"%PDF-1.7"
