"""Staff's lists, asked for what no list has: every one that is registered, every filter it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, reverse

from tests.fakes.staff import make_staff, signed_in

DAYS = ("0001-01-01", "9999-12-31", "\0")


def lists() -> Iterator[str]:
    for model in admin.site._registry:
        try:
            yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        except NoReverseMatch:
            continue


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_staff("operator", is_superuser=True))


def test_days_and_pages_that_no_list_has(operator: Client) -> None:
    failed = []
    for path in lists():
        shown = operator.get(path)
        content = shown.content.decode() if not shown.streaming and shown.status_code == 200 else ""
        names = set(re.findall(r'<(?:input|select)[^>]*name="([a-z_]+)"', content)) - {"csrfmiddlewaretoken", "action"}
        for day in DAYS:
            answer = operator.get(path, {**dict.fromkeys(names, day), "p": day, "o": day})
            if answer.status_code >= 500:
                failed.append((path, day, answer.status_code))
    assert not failed
