"""What only programs of their own can show: figures that add up over processes, settings that refuse to be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
_COUNT = """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from paycenter import metrics
metrics.count_call("gopay", 0, 0.1)
metrics._POOL.labels("open").set(3)
metrics._pool_noted = float("inf")
"""


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PAYCENTER_", "DJANGO_"))}
    return subprocess.run([sys.executable, *command], env={**kept, **environment}, cwd=ROOT, capture_output=True,
                          text=True, timeout=90, check=False)  # fmt: skip


def test_processes_of_one_machine_add_up_and_the_dead_leave_no_gauges(tmp_path: Path) -> None:
    """Each scrape may reach any process: whichever answers, answers for all."""
    assert run("-c", _COUNT, str(tmp_path)).returncode == 0
    told = run("-c", f"{_COUNT}print(metrics.render().decode())", str(tmp_path))
    samples = {(s.name, s.labels.get("operation") or s.labels.get("state")): s.value
               for family in text_string_to_metric_families(told.stdout) for s in family.samples}  # fmt: skip
    assert samples[("paycenter_calls_total", "gopay")] == 2, told.stderr
    assert samples[("paycenter_db_pool", "open")] == 3


def test_the_doctor_names_settings_that_are_refused(tmp_path: Path) -> None:
    done = run("manage.py", "doctor", "--json", PAYCENTER_MODE="production", DEBUG="1", PAYCENTER_VAR=str(tmp_path),
               SECRET_KEY="Zq7-very-secret-9xK")  # fmt: skip
    found = json.loads(done.stdout)
    texts = " ".join(one["text"] for one in found["findings"])
    assert (done.returncode, found["status"]) == (2, 2)
    for name in ("DEBUG", "SECRET_KEY", "PAYCENTER_ENCRYPTION_KEYS", "ALLOWED_HOSTS"):
        assert name in texts
    assert "Zq7-very-secret-9xK" not in done.stdout + done.stderr
