"""`manage.py newchannel NAME`: the skeleton of a channel and of its stand-in, for their contract tests to fail on."""

from __future__ import annotations

import keyword
import re
from argparse import ArgumentParser
from pathlib import Path
from string import Template
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

TEMPLATES = Path(__file__).parents[1] / "newchannel"
_NAME = re.compile(r"[a-z][a-z0-9]{2,15}")
_IMPORT = re.compile(r"from [\w.]+ import (?:\([^)]*\)|[^\n(]+)\n")
_IMPORTS = re.compile(f"(?:^{_IMPORT.pattern})+", re.MULTILINE)
# Where each template goes, below the project's root.
_FILES = {
    "channel_init": "channels/$name/__init__.py",
    "channel_fields": "channels/$name/fields.py",
    "channel_gateway": "channels/$name/gateway.py",
    "channel_provider": "channels/$name/provider.py",
    "channel_refunds": "channels/$name/refunds.py",
    "channel_scene": "channels/$name/${name}_qr.py",
    "sandbox_init": "sandbox/$name/__init__.py",
    "sandbox_contract": "sandbox/$name/contract.py",
    "sandbox_channel": "sandbox/$name/channel.py",
}
_NEXT = """
Nothing else has to be registered. What is left to write, the contract tests say:

    .venv/bin/pytest tests/contract tests/channels/test_every_channel.py -k {name} -x

The page docs/add-a-channel.md goes through it in order.
"""


class Command(BaseCommand):
    help = "Write the skeleton of a new channel: its provider, one scene, its stand-in in the sandbox."
    # Nothing of the database is looked at.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the channel's code, and the name of its folders")

    def handle(self, *args: Any, **options: Any) -> None:
        name, root = options["name"], Path(settings.BASE_DIR)
        _refuse_unusable(name, root)
        values = {"name": name, "Name": name.capitalize()}
        for template, place in _FILES.items():
            target = root / Template(place).substitute(values)
            text = Template((TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")).substitute(values)
            _write_new(target, _IMPORTS.sub(_in_order, text))
            self.stdout.write(f"written: {target.relative_to(root)}")
        self.stdout.write(_NEXT.format(name=name))


def _in_order(block: re.Match[str]) -> str:
    """Imports by module: where the channel's own come depends on its name."""
    return "".join(sorted(_IMPORT.findall(block[0]), key=lambda statement: str(statement).split()[1]))


def _refuse_unusable(name: str, root: Path) -> None:
    if not _NAME.fullmatch(name):
        raise CommandError(
            f"{name!r} cannot name a channel: 3 to 16 lower-case letters and digits, a letter first (acmepay)."
        )
    if keyword.iskeyword(name):
        raise CommandError(f"{name!r} cannot name a channel: it is a word of Python's own.")
    for folder in ("channels", "sandbox"):
        for taken in (root / folder / name, root / folder / f"{name}.py"):
            if taken.exists():
                raise CommandError(f"{taken.relative_to(root)} exists already; choose another name.")


def _write_new(target: Path, text: str) -> None:
    """Never over a file that is there."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as out:
            out.write(text)
    except OSError as exc:
        raise CommandError(f"{target} cannot be written: {exc.strerror}") from exc
