"""No way round the second person: not by a single superuser's pages, not by lists, inlines, the API or commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.db.models import Model

from merchants.models import App, AppKey, ChangeRequest, PaymentAccount, User
from refunds.models import RefundPolicy
from tests.fakes.staff import signed_in
from tests.merchants.admin.tenants import tenants as tenants
from tests.merchants.admin.test_strangers import Ground
from tests.merchants.admin.test_strangers import ground as ground

GUARDED: dict[type[Model], tuple[str, ...]] = {
    App: ("allowed_ips", "notify_url", "return_url", "webhook_secret", "is_active"),
    AppKey: ("app_id", "kind", "slot", "value"),
    PaymentAccount: ("config", "identity"),
    User: ("role", "merchant_id", "app_id", "is_superuser", "email"),
    RefundPolicy: tuple(f.attname for f in RefundPolicy._meta.concrete_fields),
}
# What somebody would send who wants to change it alone.
WANTED = {
    "allowed_ips": "0.0.0.0/0", "notify_url": "https://evil.example/", "return_url": "https://evil.example/",
    "webhook_secret": "whsec_evil", "public_key": "evil", "value": "evil", "config": "{}", "config-merchant": "evil",
    "config-secret": "evil", "role": "finance", "is_superuser": "on", "is_active": "on", "email": "evil@example.com",
    "automatic_up_to": "99999", "one_approval_up_to": "99999", "daily_ceiling": "", "approver_roles": "finance",
    "approval_hours": "1", "window_days": "1", "spacing_seconds": "0", "late_payment": "ask", "reason": "because",
    "duplicate_payment": "ask", "wrong_payment": "ask", "abnormal_automatic_up_to": "0", "currency": "CNY",
    "_save": "Save", "form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": "1",
}  # fmt: skip


def guarded() -> dict[tuple[str, Any], tuple[Any, ...]]:
    """Every guarded value, by row."""
    return {
        (model._meta.label, row[0]): row[1:]
        for model, names in GUARDED.items()
        for row in model._default_manager.values_list("pk", *names)
    }


@pytest.mark.timeout(600)
def test_a_single_superuser_changes_none_of_it_through_any_page(ground: Ground) -> None:
    """Every form the pages show, and every address with everything somebody would want to change. What one person
    may do alone is shutting out: forgetting previous keys and switching off."""
    App.objects.update(is_active=False)
    root = signed_in(ground.root)
    before = guarded()
    walk, visits = ground.walk(ground.own, {App, PaymentAccount, RefundPolicy, User, ChangeRequest})
    posts = [v for v in visits if v.data is not None and "/decide/" not in v.url and v.kind in ("post", "form")]
    assert len(posts) > 40
    root.raise_request_exception = False
    for visit in posts:
        for data in (WANTED, {**WANTED, **dict(visit.data or ())}, {**dict(visit.data or ()), **WANTED}):
            assert root.post(visit.url, data).status_code < 500, visit
    after = guarded()
    assert {key: row for key, row in after.items() if key in before} == before
    new = [key for key in after if key not in before]
    assert all(label in ("merchants.App", "merchants.AppKey", "merchants.User") for label, _pk in new)
    made = User.objects.filter(pk__in=[pk for label, pk in new if label == "merchants.User"])
    assert not made.filter(is_active=True).exists()
    assert not App.objects.filter(is_active=True).exists()
    assert walk.theirs[App].pk


def test_who_asked_decides_through_no_page(ground: Ground) -> None:
    change = ground.theirs[ChangeRequest]
    assert isinstance(change, ChangeRequest)
    boss = change.requested_by
    User.objects.filter(pk=boss.pk).update(is_superuser=True)
    client = signed_in(User.objects.get(pk=boss.pk))
    for decision in ("confirm", "reject"):
        client.post(f"/admin/merchants/changerequest/{change.pk}/decide/{decision}/", {"reason": "mine"})
    for view in ("change", "delete", "history"):
        client.post(f"/admin/merchants/changerequest/{change.pk}/{view}/", {"state": "confirmed", "post": "yes"})
    assert ChangeRequest.objects.get(pk=change.pk).state == "pending"


def test_no_list_and_no_inline_edits_guarded_records() -> None:
    for model, page in admin.site._registry.items():
        assert not page.list_editable, model
        assert not [inline for inline in page.inlines if inline.model in GUARDED], model


WRITES = re.compile(
    r"(app|locked)\.(webhook_secret|allowed_ips|notify_url|return_url) = |AppKey\.objects\.(create|update)|\.config = "
)


def test_only_the_services_write_them() -> None:
    """The API, the commands and the admin go through the services; their names are the whole list."""
    root = Path(settings.BASE_DIR)
    apps = ("merchants", "paycenter", "trades", "refunds", "cashier", "reconciliation", "notifications")
    files = [f for app in apps for f in (root / app).rglob("*.py") if "migrations" not in f.parts]
    found = {str(f.relative_to(root)) for f in files if WRITES.search(f.read_text(encoding="utf-8"))}
    assert found <= {"merchants/services.py", "merchants/keys.py", "merchants/changes.py"}, found


def test_no_command_of_the_docs_changes_them() -> None:
    root = Path(settings.BASE_DIR)
    named = {
        name
        for page in [*root.glob("docs/*.md"), root / "README.md"]
        for name in re.findall(r"manage\.py (\w+)", page.read_text(encoding="utf-8"))
    }
    sources = {f.stem: f.read_text(encoding="utf-8") for f in root.glob("*/management/commands/*.py")}
    for name in named & set(sources):
        if name in ("demo_data", "reencrypt"):  # made-up merchants; the same secrets under another key
            continue
        assert not re.search(r"confirmed=True|change_confirm|app_key_rotate|webhook_secret_rotate", sources[name]), name


