"""Settings, from the environment. `PAYCENTER_MODE=production` refuses what is only fit for a demo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ

from paycenter.logging import configure as configure_logging
from paycenter.settings_guard import embedded_secrets, refuse_unknown_stream, refuse_unsafe
from paycenter.unfold import UNFOLD as UNFOLD

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.str("PAYCENTER_VAR", default=str(BASE_DIR / "var"))).resolve()

# ---- what kind of process this is ----------------------------------------------------------
MODE = env.str("PAYCENTER_MODE", default="embedded")  # embedded | production
ENTRANCE = env.str("PAYCENTER_ENTRANCE", default="all")  # internal | portal | public | all
# Where bills, exports, documents and the audit chain's noted heads are kept: with several hosts a directory that all of
# them see.
FILES_DIR = env.str("PAYCENTER_FILES", default="")
DEBUG = env.bool("DEBUG", default=False)
_embedded = embedded_secrets(VAR_DIR) if MODE == "embedded" else {}
SECRET_KEY = env.str("SECRET_KEY", default=_embedded.get("secret_key", ""))
# Fernet keys, comma separated: the first writes, all read (rotation).
ENCRYPTION_KEYS = env.list("PAYCENTER_ENCRYPTION_KEYS", default=_embedded.get("encryption_keys", []))
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"] if _embedded else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Where payers and channels reach the public entrance; no trailing slash.
PUBLIC_BASE_URL = env.str("PAYCENTER_PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
# Where staff reach the admin, for links in alerts.
STAFF_BASE_URL = env.str("PAYCENTER_STAFF_URL", default=PUBLIC_BASE_URL).rstrip("/")
# Addresses of our own reverse proxies; the client is the right-most forwarded hop not among them.
TRUSTED_PROXIES = env.list("PAYCENTER_TRUSTED_PROXIES", default=[])
# Source networks that may use the internal entrance (empty: any, for the embedded demo).
INTERNAL_NETWORKS = env.list("PAYCENTER_INTERNAL_NETWORKS", default=[])
# Networks outbound calls may reach although they are not public. Development only.
EGRESS_ALLOWED = env.list("PAYCENTER_EGRESS_ALLOWED", default=[])
refuse_unsafe(
    mode=MODE, entrance=ENTRANCE, debug=DEBUG, secret_key=SECRET_KEY, encryption_keys=ENCRYPTION_KEYS,
    allowed_hosts=ALLOWED_HOSTS, egress_allowed=EGRESS_ALLOWED, public_base_url=PUBLIC_BASE_URL,
    internal_networks=INTERNAL_NETWORKS,
)  # fmt: skip

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "paycenter.apps.StaffSiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_fsm",
    "simple_history",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "axes",
    "paycenter.apps.PaycenterConfig",
    "merchants",
    "notifications",
    "trades",
    "refunds",
    "cashier",
    "onboarding",
    "reconciliation",
    "dashboards",
]
MIDDLEWARE = [
    "paycenter.middleware.RequestContextMiddleware",
    "paycenter.faults.FaultMiddleware",
    "paycenter.entrances.EntranceMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "paycenter.middleware.DirectMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "paycenter.body_limit.BodyLimitMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "paycenter.staff.sessions.StaffSessionMiddleware",
    "paycenter.staff.trail.StaffTrailMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "paycenter.csp.ContentSecurityPolicyMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = f"paycenter.urls.{ENTRANCE}"
WSGI_APPLICATION = "paycenter.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


# ---- database ----------------------------------------------------------------------------
def _connected(database: dict[str, Any]) -> dict[str, Any]:
    """With the options its kind needs."""
    if database["ENGINE"] == "django.db.backends.sqlite3":
        # IMMEDIATE takes the write lock at BEGIN, so that writers queue instead of failing half-way.
        options = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        }
        return {**database, "OPTIONS": options}
    # A pool per process, smaller than its threads: a thread that waits for a channel holds no connection.
    pool = {"min_size": 1, "max_size": env.int("PAYCENTER_DB_POOL", default=16), "timeout": 10}
    # The statements of paycenter.compiled are prepared on their third run; 0: never (behind a pooler that hands
    # each transaction another connection).
    prepare = env.int("PAYCENTER_DB_PREPARE", default=2) or None
    options = {**database.get("OPTIONS", {}), "pool": pool, "prepare_threshold": prepare}
    # PostgreSQL compiles what looks dear, which takes longer than running any statement of ours: 50 ms for 1. Empty for
    # a pooler that refuses options: then the role should have the setting (`manage.py doctor`).
    ours = env.str("PAYCENTER_DB_OPTIONS", default="-c jit=off")
    if said := f"{ours} {options.get('options', '')}".strip():
        options["options"] = said
    return {**database, "OPTIONS": options, "CONN_MAX_AGE": 0}


def _replica(url: str) -> dict[str, Any]:
    """Where reports read (`paycenter.replica`); its sessions cannot write. Tests read their own database there."""
    database = _connected(env.db_url_config(url))
    if database["ENGINE"].endswith("postgresql"):
        given = database["OPTIONS"].get("options", "")
        database["OPTIONS"]["options"] = f"{given} -c default_transaction_read_only=on".strip()
    return {**database, "TEST": {"MIRROR": "default"}}


DATABASES = {"default": _connected(env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'paycenter.sqlite3'}"))}
REPLICA_DATABASE_URL = env.str("REPLICA_DATABASE_URL", default="")
if REPLICA_DATABASE_URL:
    DATABASES["replica"] = _replica(REPLICA_DATABASE_URL)
DATABASE_ROUTERS = ["paycenter.replica.ReplicaRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ---- broker, cache ------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL or "memory://")

# ---- cashier orders through a Redis stream (docs/order-stream.md) ---------------------------
# off | drain (takes none, still knows those in it) | auto (while writes wait for the database) | on
ORDER_STREAM = env.str("PAYCENTER_ORDER_STREAM", default="off")
ORDER_STREAM_URL = env.str("PAYCENTER_ORDER_STREAM_URL", default=REDIS_URL)
# auto: from how many seconds of waiting on, on average over a process's latest writes.
ORDER_STREAM_WAIT = env.float("PAYCENTER_ORDER_STREAM_WAIT", default=0.02)
# With more orders in the stream than this, or an older one (seconds), new ones go into the database.
ORDER_STREAM_LIMIT = env.int("PAYCENTER_ORDER_STREAM_LIMIT", default=20_000)
ORDER_STREAM_OLDEST = env.float("PAYCENTER_ORDER_STREAM_OLDEST", default=4.0)
refuse_unknown_stream(ORDER_STREAM, ORDER_STREAM_URL)

# Where a worker tells Prometheus its own figures, on a machine without a web process; 0: it does not.
WORKER_METRICS_PORT = env.int("PAYCENTER_WORKER_METRICS_PORT", default=0)
WORKER_METRICS_HOST = env.str("PAYCENTER_WORKER_METRICS_HOST", default="127.0.0.1")

# While this file is there, /readyz says no: make it before a process is ended, so that it gets nothing new.
DRAIN_FILE = Path(env.str("PAYCENTER_DRAIN_FILE", default=str(VAR_DIR / "draining")))
# A line in the log for every request answered; refusals and faults have theirs anyway.
LOG_REQUESTS = env.bool("PAYCENTER_LOG_REQUESTS", default=False)
# Where faults are reported to (Sentry), scrubbed; empty: nowhere.
SENTRY_DSN = env.str("SENTRY_DSN", default="")

# ---- staff ---------------------------------------------------------------------------------
AUTH_USER_MODEL = "merchants.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "merchants.roles.RoleBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "paycenter.staff.passwords.NotReusedValidator"},
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "paycenter.lockouts.locked_out"
# Wrong passwords in an hour, from everywhere together: then only addresses the person has signed in from may try.
SIGN_IN_FAILURES_PER_NAME = env.int("PAYCENTER_SIGN_IN_FAILURES_PER_NAME", default=50)
SIGN_IN_FAILURES_PER_ADDRESS = env.int("PAYCENTER_SIGN_IN_FAILURES_PER_ADDRESS", default=200)
# Who moves money cannot work without a second factor; at the portal nobody can.
REQUIRE_TOTP = env.bool("PAYCENTER_REQUIRE_TOTP", default=MODE == "production")
AXES_ENABLE_ADMIN = False
# Of a try that failed nothing is kept that may open a door: a recovery code may be wrong by one letter only.
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "otp_token"]
OTP_TOTP_ISSUER = "Payment Center"
# How long a code counts for sensitive acts before they ask for another one.
CODE_FRESH_SECONDS = 60 * env.int("PAYCENTER_CODE_FRESH_MINUTES", default=10)
# How long a link with which somebody chooses a password works, and how long a change may wait for its second person.
INVITATION_HOURS = env.int("PAYCENTER_INVITATION_HOURS", default=72)
CHANGE_REQUEST_DAYS = env.int("PAYCENTER_CHANGE_REQUEST_DAYS", default=14)
# Where staff of merchants and apps sign in; empty: the address of the page that makes the link.
PORTAL_BASE_URL = env.str("PAYCENTER_PORTAL_URL", default="").rstrip("/")
AXES_CLIENT_IP_CALLABLE = "paycenter.middleware.axes_client_ip"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = MODE == "production"
# Nobody stays signed in longer than this, nor when nothing was done for the shorter time.
SESSION_COOKIE_AGE = 3600 * env.int("PAYCENTER_SESSION_HOURS", default=12)
SESSION_IDLE_SECONDS = 60 * env.int("PAYCENTER_SESSION_IDLE_MINUTES", default=60)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
LOGIN_URL = "admin:login"

# ---- mail (alerts) ---------------------------------------------------------------------------
EMAIL_HOST = env.str("PAYCENTER_SMTP_HOST", default="")  # empty: no mail is sent
EMAIL_PORT = env.int("PAYCENTER_SMTP_PORT", default=465)
EMAIL_USE_SSL = env.bool("PAYCENTER_SMTP_SSL", default=EMAIL_PORT == 465)
EMAIL_USE_TLS = env.bool("PAYCENTER_SMTP_STARTTLS", default=EMAIL_PORT == 587)
EMAIL_HOST_USER = env.str("PAYCENTER_SMTP_USER", default="")
EMAIL_HOST_PASSWORD = env.str("PAYCENTER_SMTP_PASSWORD", default="")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("PAYCENTER_MAIL_FROM", default="payment-center@localhost")
ALERT_MAIL_PREFIX = env.str("PAYCENTER_MAIL_PREFIX", default="Payment Center")

# ---- language, time, static ----------------------------------------------------------------
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
FORMAT_MODULE_PATH = ["paycenter.formats"]
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(env.str("PAYCENTER_STATIC_ROOT", default=str(VAR_DIR / "static")))
WHITENOISE_USE_FINDERS = MODE == "embedded"

# ---- the contract's numbers (seconds) --------------------------------------------------------
GOPAY_REPEAT_WINDOW = env.int("PAYCENTER_REPEAT_WINDOW", default=15)
# With the overhead of a loaded machine an answer comes within 12 s.
GOPAY_TIME_LIMIT = env.float("PAYCENTER_GOPAY_TIME_LIMIT", default=9.0)
SUPERSEDE_WAIT = 2.0
# Payments under way at a time through one account, and through one provider, in one process.
CHANNEL_CONCURRENCY = env.int("PAYCENTER_CHANNEL_CONCURRENCY", default=64)
# How long a process may go on with apps, keys, merchants and accounts as it last saw them: so long after a
# suspension or a revoked key the last payments pass. 0: every payment reads them.
CONFIGURATION_MEMORY = env.float("PAYCENTER_CONFIGURATION_MEMORY", default=0.5)
# Payments of one process that are written in one transaction when they wait for the database at the same moment;
# 1: each in its own.
WRITE_TOGETHER = env.int("PAYCENTER_WRITE_TOGETHER", default=32)
# Channel calls a sweep makes side by side in one worker process; 0 makes them one after the other.
SWEEP_THREADS = env.int("PAYCENTER_SWEEP_THREADS", default=16)
# Days a payment may be missing in its channel's bill before somebody has to look; later days' bills explain it.
RECONCILIATION_CARRY_DAYS = env.int("PAYCENTER_RECONCILIATION_CARRY_DAYS", default=2)
# Differences above this many minor units are closed by two people.
RECONCILIATION_TWO_PEOPLE_ABOVE = env.int("PAYCENTER_RECONCILIATION_TWO_PEOPLE_ABOVE", default=100_000)
# How far back bills are asked for that were never planned (a center that stood still).
RECONCILIATION_BACKFILL_DAYS = env.int("PAYCENTER_RECONCILIATION_BACKFILL_DAYS", default=7)
# What one export of a list may hold, and how many days its file is kept.
EXPORT_ROWS = env.int("PAYCENTER_EXPORT_ROWS", default=1_000_000)
EXPORT_KEEP_DAYS = env.int("PAYCENTER_EXPORT_KEEP_DAYS", default=7)
# Months of requests with their answers, and of tries at telling apps, that `manage.py log_partitions --retire` leaves
# in the database; 0: all of them.
KEEP_EXCHANGES_MONTHS = env.int("PAYCENTER_KEEP_EXCHANGES_MONTHS", default=0)
KEEP_DELIVERIES_MONTHS = env.int("PAYCENTER_KEEP_DELIVERIES_MONTHS", default=0)
BILL_UPLOAD_LIMIT = env.int("PAYCENTER_BILL_UPLOAD_LIMIT", default=2 * 1024**3)
REQUEST_BODY_LIMIT = 256 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_HANDLERS = [
    "django.core.files.uploadhandler.MemoryFileUploadHandler", "paycenter.upload_handling.ShortNamesUploadHandler",
]  # fmt: skip

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Payment Center API",
    "VERSION": "1.0.0",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
}
SIMPLE_HISTORY_REVERT_DISABLED = True

DEFAULT_EXCEPTION_REPORTER_FILTER = "paycenter.reports.QuietReporterFilter"
LOGGING = configure_logging(env.str("PAYCENTER_LOG_LEVEL", default="INFO"))
