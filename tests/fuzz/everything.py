"""All targets by name. Those of whole requests need a database and are made in `web_targets`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tests.fuzz.channel_targets import channel_targets
from tests.fuzz.key_targets import key_targets
from tests.fuzz.product_targets import product_targets
from tests.fuzz.samples import Sampled
from tests.fuzz.target import Target
from tests.fuzz.transport_targets import transport_targets


def pure_targets(found: Sequence[Sampled]) -> dict[str, Callable[[], Target]]:
    """What makes each target, by its name."""
    made = {name: make for sampled in found for name, make in channel_targets(sampled).items()}
    own = (*product_targets(), *key_targets(), *transport_targets())
    return {**made, **{target.name: partial(_same, target) for target in own}}


def _same(target: Target) -> Target:
    return target
