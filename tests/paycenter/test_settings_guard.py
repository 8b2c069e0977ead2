"""Production refuses to start with what is only fit for a demo, and says which setting it is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from paycenter.settings_guard import embedded_secrets, refuse_unsafe

ROOT = Path(__file__).resolve().parent.parent.parent
GOOD: dict[str, Any] = {
    "mode": "production",
    "entrance": "public",
    "debug": False,
    "secret_key": "k7Jq-2mZx0vN8rTq4WbYc6HdLfPgSa1eUiOyXn3RtBz5MwQjKvEo",
    "encryption_keys": [Fernet.generate_key().decode()],
    "allowed_hosts": ["pay.example.com"],
    "egress_allowed": [],
    "public_base_url": "https://pay.example.com",
    "internal_networks": [],
}


def test_good_settings_start() -> None:
    refuse_unsafe(**GOOD)
    refuse_unsafe(**{**GOOD, "entrance": "internal", "internal_networks": ["10.0.0.0/8"]})


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"debug": True}, "DEBUG"),
        ({"secret_key": ""}, "SECRET_KEY"),
        ({"secret_key": "x" * 60}, "SECRET_KEY"),
        ({"secret_key": "django-insecure"}, "SECRET_KEY"),
        ({"encryption_keys": []}, "PAYCENTER_ENCRYPTION_KEYS"),
        ({"encryption_keys": ["not-a-key"]}, "PAYCENTER_ENCRYPTION_KEYS"),
        ({"allowed_hosts": []}, "ALLOWED_HOSTS"),
        ({"allowed_hosts": ["*"]}, "ALLOWED_HOSTS"),
        ({"egress_allowed": ["127.0.0.0/8"]}, "PAYCENTER_EGRESS_ALLOWED"),
        ({"entrance": "all"}, "PAYCENTER_ENTRANCE"),
        ({"entrance": "nonsense"}, "PAYCENTER_ENTRANCE"),
        ({"mode": "prod"}, "PAYCENTER_MODE"),
        ({"public_base_url": "http://pay.example.com"}, "PAYCENTER_PUBLIC_URL"),
        ({"entrance": "internal"}, "PAYCENTER_INTERNAL_NETWORKS"),
    ],
)
def test_each_unsafe_setting_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        refuse_unsafe(**{**GOOD, **wrong})
    assert named in str(refused.value)


def test_all_of_them_are_named_at_once_and_no_value_is_shown() -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        refuse_unsafe(**{**GOOD, "debug": True, "secret_key": "hunter2hunter2", "allowed_hosts": ["*"]})
    text = str(refused.value)
    assert all(name in text for name in ("DEBUG", "SECRET_KEY", "ALLOWED_HOSTS"))
    assert "hunter2" not in text


def test_the_demo_may_do_all_that() -> None:
    refuse_unsafe(
        **{**GOOD, "mode": "embedded", "entrance": "all", "debug": True, "egress_allowed": ["127.0.0.0/8"],
           "secret_key": "short", "public_base_url": "http://127.0.0.1:8000"}
    )  # fmt: skip


class TestEmbeddedSecrets:
    def test_are_made_once_kept_and_private(self, tmp_path: Path) -> None:
        var = tmp_path / "new" / "var"
        first = embedded_secrets(var)
        assert embedded_secrets(var) == first
        assert stat.S_IMODE((var / "secrets.json").stat().st_mode) == 0o600
        Fernet(first["encryption_keys"][0])
        assert len(first["secret_key"]) >= 50
        assert os.listdir(var) == ["secrets.json"]  # no scratch file is left

    def test_differ_between_installations(self, tmp_path: Path) -> None:
        assert embedded_secrets(tmp_path / "a") != embedded_secrets(tmp_path / "b")

    def test_a_broken_file_is_named_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "secrets.json").write_text("{broken")
        with pytest.raises(ImproperlyConfigured, match=r"secrets\.json"):
            embedded_secrets(tmp_path)
        assert (tmp_path / "secrets.json").read_text() == "{broken"

    def test_a_directory_that_cannot_be_written(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="PAYCENTER_VAR"):
            embedded_secrets(Path("/proc/nowhere"))

    def test_two_processes_at_once_agree(self, tmp_path: Path) -> None:
        code = "import sys; from pathlib import Path; from paycenter.settings_guard import embedded_secrets as e; " \
               f"print(e(Path({str(tmp_path)!r})))"  # fmt: skip
        running = [
            subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        assert len({process.communicate(timeout=60)[0] for process in running}) == 1


@pytest.mark.parametrize("missing", ["SECRET_KEY", "PAYCENTER_ENCRYPTION_KEYS", "ALLOWED_HOSTS"])
def test_a_production_process_stops_with_the_settings_name(missing: str, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"], "PAYCENTER_MODE": "production", "PAYCENTER_ENTRANCE": "public",
        "PAYCENTER_VAR": str(tmp_path), "SECRET_KEY": GOOD["secret_key"], "ALLOWED_HOSTS": "pay.example.com",
        "PAYCENTER_ENCRYPTION_KEYS": GOOD["encryption_keys"][0], "PAYCENTER_PUBLIC_URL": "https://pay.example.com",
    }  # fmt: skip
    del environment[missing]
    ended = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode != 0
    assert missing in ended.stderr
    assert not (tmp_path / "secrets.json").exists()  # production makes no keys of its own
