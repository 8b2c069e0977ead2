"""Check digits and shapes, against the standards' own examples."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from onboarding import checks
from tests.onboarding.company import CREDIT_CODE, RESIDENT_ID


def test_the_examples_of_the_standards_are_right() -> None:
    assert checks.credit_code(f" {CREDIT_CODE[:9].lower()} {CREDIT_CODE[9:]} ") == CREDIT_CODE
    assert checks.resident_id("110105 19491231 002x") == RESIDENT_ID


@pytest.mark.parametrize("at", range(18))
def test_no_single_wrong_character_passes(at: int) -> None:
    for check, right in ((checks.credit_code, CREDIT_CODE), (checks.resident_id, RESIDENT_ID)):
        for other in "0123456789":
            if other != right[at]:
                with pytest.raises(ValidationError):
                    check(right[:at] + other + right[at + 1 :])


@pytest.mark.parametrize("text", ["91350100M000100Y4", "91350100I000100Y43", "９1350100M000100Y43", "", "Z" * 18])
def test_what_is_no_credit_code_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValidationError):
        checks.credit_code(text)


@pytest.mark.parametrize("text", ["110105194913310023", "110105209912310021", "1101051949123100", "ABC"])
def test_what_is_no_identity_number_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        checks.resident_id(text)
