"""Where uploads that are too large for memory wait."""

from __future__ import annotations

import os
from typing import Any

from django.core.files.uploadhandler import TemporaryFileUploadHandler

_MOST_NAME, _MOST_ENDING = 128, 16


class ShortNamesUploadHandler(TemporaryFileUploadHandler):
    """Takes a file of any name: Django's ends the temporary file's name with all that follows the last dot, which a
    file system may refuse."""

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        """As the base class does, with a name that is cut."""
        root, ending = os.path.splitext(file_name)
        super().new_file(field_name, root[:_MOST_NAME] + ending[:_MOST_ENDING], *args, **kwargs)
