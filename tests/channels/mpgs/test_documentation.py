"""The page about this channel: its example runs, its tables are those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from channels.mpgs.provider import MpgsProvider
from channels.mpgs.reading import STATES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "channels" / "mpgs.md").read_text(encoding="utf-8")


def test_the_example_runs_in_a_plain_script_without_django():
    match = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert match
    script = match.group(1) + "\nimport sys\nassert 'django' not in sys.modules\nprint(provider.code)\n"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "mpgs"), done.stderr


def test_every_status_and_every_field_is_on_the_page():
    assert [word for word in STATES if f"`{word}`" not in PAGE] == []
    assert [field.name for field in MpgsProvider.fields if f"`{field.name}`" not in PAGE] == []
