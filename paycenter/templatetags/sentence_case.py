"""Labels of lists as the rest of the pages is written: the first word alone begins with a capital letter."""

from __future__ import annotations

import re

from django import template
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
_LABEL = re.compile(r'(?<= data-label=")[a-z]')


@register.filter(is_safe=True)
def labels_in_sentence_case(html: SafeString) -> SafeString:
    """What stands before each value where a row is a block of lines: the theme would capitalise every word of it."""
    return mark_safe(_LABEL.sub(lambda first: first[0].upper(), html))  # noqa: S308 - the list is safe already
