"""docs/deploy.md and the files of `deploy/` say what is there, and what they set is read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from deploy.demo.layout import ROOT
from paycenter.settings_guard import refuse_unsafe
from tests.docs.pages import blocks, page

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
COMMANDS = {"log_partitions": "paycenter/management/commands/log_partitions.py"}


def settings_of(text: str) -> dict[str, str]:
    found = re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)
    return {name: value.strip() for name, value in found}


def test_every_file_named_is_there() -> None:
    for name in set(re.findall(r"`(deploy/[\w./@-]+)`", page("docs/deploy.md"))):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\bdeploy/[\w./@-]+\.(?:py|example)\b", "\n".join(blocks("docs/deploy.md", "sh"))):
        assert (ROOT / name).exists(), name


def test_every_unit_named_is_there() -> None:
    shown = set(re.findall(r"\b(paycenter-[a-z]+@?)", "\n".join(blocks("docs/deploy.md", "sh")))) - {"paycenter-"}
    there = {path.stem for path in (ROOT / "deploy/systemd").iterdir()}
    files = {"paycenter-upstreams"}  # of nginx
    assert shown - files <= there


def test_every_setting_is_read() -> None:
    source = "".join(path.read_text() for path in (ROOT / "paycenter").glob("settings*.py"))
    for name in settings_of(page("deploy/paycenter.env.example")):
        assert f'"{name}"' in source or name in ("DJANGO_SETTINGS_MODULE", "PYTHONUNBUFFERED"), name
    for name in re.findall(r"`(PAYCENTER_\w+)`", page("docs/deploy.md")):
        assert f'"{name}"' in source, name


def test_the_example_is_fit_for_production_once_its_keys_are_filled_in() -> None:
    given = settings_of(page("deploy/paycenter.env.example"))
    assert (given["SECRET_KEY"], given["PAYCENTER_ENCRYPTION_KEYS"]) == ("", "")
    refuse_unsafe(
        mode=given["PAYCENTER_MODE"], entrance="internal", debug=False, secret_key="0123456789" * 5,
        encryption_keys=["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="],
        allowed_hosts=given["ALLOWED_HOSTS"].split(","), egress_allowed=[],
        public_base_url=given["PAYCENTER_PUBLIC_URL"],
        internal_networks=given["PAYCENTER_INTERNAL_NETWORKS"].split(","),
    )  # fmt: skip


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_starts_a_program_of_ours(path: Path) -> None:
    text = path.read_text()
    command = shlex.split(re.search(r"^ExecStart=(.+)$", text, re.MULTILINE)[1])  # type: ignore[index]
    assert command[0].startswith(("/opt/paycenter/.venv/bin/", "/usr/bin/python3")), command
    for name in re.findall(r"/opt/paycenter/((?:deploy|manage)\S*\.py)", text):
        assert (ROOT / name).exists(), name
    given = settings_of(page("deploy/web.env.example") if "web@" in path.name else "")
    assert set(re.findall(r"\$\{(\w+)\}", " ".join(command))) == set(given)


def test_every_option_named_exists() -> None:
    text = "\n".join([*blocks("docs/deploy.md", "sh"), *(path.read_text() for path in UNITS)])
    for command, options in re.findall(r"manage\.py (\w+)((?: --[a-z]+(?: /\S+)?)+)", text):
        source = page(COMMANDS[command]) if command in COMMANDS else ""
        for option in re.findall(r"--([a-z]+)", options):
            assert not source or f'"{option}"' in source or f'"--{option}"' in source, (command, option)
