"""Programs get their answers without sessions, languages and page policies; what protects everybody stays."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import translation


@pytest.mark.parametrize("path", ["/healthz", "/v1/gopay", "/v1/nothing", "/notify/fake_qr/A1"])
def test_nothing_for_people_in_an_answer_to_a_program(db: None, path: str) -> None:
    response = Client().get(path, headers={"accept-language": "en"})
    assert not response.cookies
    assert "Content-Security-Policy" not in response.headers
    assert "Content-Language" not in response.headers


@pytest.mark.parametrize("path", ["/healthz", "/v1/gopay", "/v1/nothing"])
def test_what_every_answer_has(db: None, path: str) -> None:
    response = Client().get(path)
    assert response.headers["X-Request-Id"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Length"] == str(len(response.content))


@pytest.mark.parametrize("path", ["/healthz", "/v1/gopay"])
def test_a_foreign_host_name_is_refused(db: None, path: str) -> None:
    assert Client().post(path, headers={"host": "evil.example"}).status_code == 400


def test_an_address_below_notify_that_is_none(db: None) -> None:
    assert Client().get("/notify/a/b/c/d").status_code == 404


def test_the_language_of_a_page_does_not_stay_in_the_thread(db: None) -> None:
    Client().get("/admin/login/", headers={"accept-language": "en"})
    Client().get("/healthz")
    assert translation.get_language() == "zh-hans"


def test_pages_keep_their_middleware(db: None) -> None:
    response = Client().get("/admin/login/", headers={"accept-language": "en"})
    assert "Content-Security-Policy" in response.headers
    assert response.headers["Content-Language"] == "en"
