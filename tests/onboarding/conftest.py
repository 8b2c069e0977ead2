"""A company in draft, a reviewer, and documents in a folder of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.fakes import fakepay
from tests.fakes.staff import make_staff, signed_in
from tests.onboarding.company import Company, make_company


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, settings: Any) -> None:
    settings.VAR_DIR = tmp_path


@pytest.fixture
def company(db: None, book: fakepay.Book) -> Company:
    return make_company()


@pytest.fixture
def reviewer(db: None) -> Client:
    return signed_in(make_staff("operator", username="reviewer"))
