"""Settings as `startproject` makes them, with PostgreSQL and a kept connection."""

from __future__ import annotations

import os

import environ

ROOT_URLCONF = "bench.peers.naive"
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "naive"  # noqa: S105 - signs nothing
USE_TZ = True
DATABASES = {"default": {**environ.Env.db_url_config(os.environ["DATABASE_URL"]), "CONN_MAX_AGE": 600}}
INSTALLED_APPS = [
    "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "django.contrib.messages",
    "rest_framework",
]  # fmt: skip
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
REST_FRAMEWORK: dict[str, list[str]] = {"DEFAULT_AUTHENTICATION_CLASSES": []}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
