"""Books that agree."""

from __future__ import annotations

import pytest

from deploy.soak.books import Books
from tests.soak import sample


@pytest.fixture
def books() -> Books:
    return sample.agreeing()
