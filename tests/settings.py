"""Settings of the test runs: the embedded ones in a scratch directory, callbacks to loopback allowed."""

import os
import tempfile

# Workers of a parallel run (pytest-xdist) share nothing: each has a directory and a Redis database of its own.
_worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
_settled = os.environ.get("PAYCENTER_TEST_WORKER") == _worker  # then this is a process that a test started
if "PAYCENTER_VAR" not in os.environ or (_worker and not _settled):
    os.environ["PAYCENTER_VAR"] = tempfile.mkdtemp(prefix="paycenter-test-")
if _worker and not _settled and os.environ.get("REDIS_URL"):
    os.environ["REDIS_URL"] = f"{os.environ['REDIS_URL'].rpartition('/')[0]}/{1 + int(_worker)}"
if _worker:
    os.environ["PAYCENTER_TEST_WORKER"] = _worker
os.environ.setdefault("PAYCENTER_EGRESS_ALLOWED", "127.0.0.0/8,::1/128")

from paycenter.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_TASK_ALWAYS_EAGER = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Sweeps run in the calling thread, so that a test's own transaction sees what they do.
SWEEP_THREADS = 0
TEST_WRAPS_TRANSACTIONS = True
# A test's changes have their effect at once; tests of the memory itself set it.
CONFIGURATION_MEMORY = 0
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # A file, so that threads and processes of one test share it as they do in production.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}  # noqa: F405
