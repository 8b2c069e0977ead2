"""When to try again: the contract's ladder, operators' rows, jitter, and rows edited into nonsense."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from paycenter import schedules
from paycenter.models import RetrySchedule
from paycenter.schedules import delay_for, schedule_for

pytestmark = pytest.mark.django_db
DELIVERY = [0, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 21600, 21600, 43200, 86400, 86400]


def delays(name: str, count: int) -> list[float | None]:
    return [schedule_for(name).delay(tries) for tries in range(count)]


def test_the_contracts_ladder_for_telling_apps() -> None:
    assert delays("delivery", 19) == [*DELIVERY, None, None]


def test_queries_never_end() -> None:
    assert delays("query", 11) == [5, 10, 30, 60, 120, 300, 600, 1800, 1800, 1800, 1800]
    assert delays("query:wechat", 8) == [5, 30, 60, 180, 300, 600, 1800, 1800]
    assert schedule_for("query").delay(10_000) == 1800


def test_a_provider_without_its_own_uses_the_general_one() -> None:
    assert schedule_for("query:alipay") == schedule_for("query")
    assert schedule_for("anything", fallback="delivery") == schedule_for("delivery")


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        schedule_for("no such")


def test_jitter_stays_within_ten_percent_and_varies() -> None:
    found = [delay_for("delivery", 3) for _ in range(300)]
    assert all(one is not None and 27 <= one <= 33 for one in found)
    assert len(set(found)) > 100
    assert delay_for("delivery", 0) == 0
    assert delay_for("delivery", 17) is None


def test_a_row_overrides_and_a_providers_row_wins() -> None:
    RetrySchedule.objects.create(name="query", delays=[1, 2], repeat_last=False)
    assert delays("query:alipay", 3) == [1, 2, None]
    schedules.forget_cached()
    RetrySchedule.objects.create(name="query:alipay", delays=[7], repeat_last=True)
    assert delays("query:alipay", 3) == [7, 7, 7]
    assert delays("query", 3) == [1, 2, None]


@pytest.mark.parametrize("nonsense", [[], "5", {"a": 1}, [5, "x"], [-1], [None], [True], [10**9], None])
def test_a_row_edited_into_nonsense_falls_back(nonsense: object) -> None:
    RetrySchedule.objects.create(name="delivery", delays=nonsense if nonsense is not None else [])
    assert delays("delivery", 17) == DELIVERY


def test_rows_are_read_once_in_a_while(
    django_assert_num_queries: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(schedules.time, "monotonic", lambda: clock[0])
    with django_assert_num_queries(1):  # type: ignore[attr-defined]
        for tries in range(50):
            delay_for("query", tries)
    RetrySchedule.objects.create(name="query", delays=[42], repeat_last=True)
    assert schedule_for("query").delay(0) == 5
    clock[0] += schedules.CACHE_SECONDS
    assert schedule_for("query").delay(0) == 42


def test_the_cache_is_short_enough_for_an_operator_to_see_the_effect() -> None:
    assert schedules.CACHE_SECONDS <= 5
