"""What a list of ways to pay calls each of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from channels.base import Method

_SCENE = re.compile(r"\s*[（(][^（）()]*[）)]$")


def payer_names(methods: Sequence[Method], language: str | None) -> list[str]:
    """Names as payers tell them apart: `Alipay (mobile web)` is just `Alipay` where no other Alipay is offered.

    Which scene it is matters to staff and to the channel; on one device a payer has no use for it.
    """
    full = [method.name.text(language) for method in methods]
    short = [_SCENE.sub("", name) for name in full]
    return [brief if short.count(brief) == 1 else name for brief, name in zip(short, full, strict=True)]
