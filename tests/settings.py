"""Settings of the test runs: the embedded ones in a scratch directory, callbacks to loopback allowed."""

import os
import tempfile

os.environ.setdefault("PAYCENTER_VAR", tempfile.mkdtemp(prefix="paycenter-test-"))
os.environ.setdefault("PAYCENTER_EGRESS_ALLOWED", "127.0.0.0/8,::1/128")

from paycenter.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_TASK_ALWAYS_EAGER = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Sweeps run in the calling thread, so that a test's own transaction sees what they do.
SWEEP_THREADS = 0
TEST_WRAPS_TRANSACTIONS = True
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # A file, so that threads and processes of one test share it as they do in production.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}  # noqa: F405
