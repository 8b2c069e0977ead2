"""Why something about an application was not stored. The messages are in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paycenter.errors import PaycenterError


class StepProblems(PaycenterError):
    """What was typed is wrong; `problems` maps a box to sentences. Nothing of the step was stored."""

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        super().__init__(", ".join(problems))
        self.problems = dict(problems)


class StaleStep(PaycenterError):
    """Somebody else stored the same step after it was read; `save` says who and when, as `Application.saves`."""

    def __init__(self, save: Mapping[str, Any]) -> None:
        super().__init__("the step was stored meanwhile")
        self.save = dict(save)
