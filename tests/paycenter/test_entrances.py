"""Which paths each entrance serves, and to whom."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from django.test import Client
from django.urls import clear_url_caches, set_urlconf

from tests.factories import HMAC_SECRET
from tests.fakes.signing import signed_post

API = ["/v1/gopay", "/v1/cashier/orders", "/v1/close", "/v1/query/trade", "/v1/sync/events"]
INTERNAL = ["/docs/", "/docs/openapi.json", "/metrics"]
ADMIN = ["/admin/", "/admin/login/"]
PUBLIC = ["/c/unknown-token", "/c/unknown-token/status", "/q/unknown", "/notify/alipay_qr/A1", "/return/alipay_qr/A1"]
HEALTH = ["/healthz", "/readyz"]
ENTRANCES = ["internal", "portal", "public", "all"]


@pytest.fixture
def enter(settings: Any, db: None) -> Any:
    """Serve as one entrance does."""

    def switch(entrance: str) -> Client:
        settings.ENTRANCE, settings.ROOT_URLCONF = entrance, f"paycenter.urls.{entrance}"
        clear_url_caches()
        set_urlconf(None)
        return Client(raise_request_exception=False)

    yield switch
    clear_url_caches()


def is_routed(entrance: str, path: str) -> bool:
    """Whether the entrance has an address for the path at all (a view may still answer 404)."""
    from django.urls import Resolver404, resolve

    try:
        match = resolve(path, urlconf=f"paycenter.urls.{entrance}")
    except Resolver404:
        return False
    return match.func.__name__ != "unknown_path"


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize(
    ("paths", "at"),
    [(API, {"internal", "all"}), (INTERNAL, {"internal", "all"}), (ADMIN, {"internal", "portal", "all"}),
     (PUBLIC, {"public", "all"}), (HEALTH, {"internal", "portal", "public", "all"})],
)  # fmt: skip
def test_an_entrance_serves_its_paths_and_answers_404_to_all_others(
    enter: Any, entrance: str, paths: list[str], at: set[str]
) -> None:
    client = enter(entrance)
    for path in paths:
        assert is_routed(entrance, path) is (entrance in at), path
        found = client.get(path)
        if entrance not in at:
            assert found.status_code == 404, path
        elif paths not in (PUBLIC,):
            assert found.status_code != 404, path


def test_an_app_that_calls_the_public_entrance_gets_404(enter: Any, world: Any) -> None:
    found = signed_post(enter("public"), "/v1/query/trade", {"trade_no": "X"}, world.app.app_id, HMAC_SECRET)
    assert found.status_code == 404


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_every_entrance_has_its_own_error_pages(entrance: str) -> None:
    module = importlib.import_module(f"paycenter.urls.{entrance}")
    assert module.handler404 == "paycenter.views.page_not_found"
    assert module.handler500 == "paycenter.views.server_error"


# ---- by source address ---------------------------------------------------------------------------
@pytest.mark.parametrize("entrance", ["internal", "all"])
def test_internal_paths_are_for_internal_addresses(enter: Any, settings: Any, entrance: str) -> None:
    settings.INTERNAL_NETWORKS = ["10.0.0.0/8", "fd00::/8"]
    client = enter(entrance)
    for path in [*API, *INTERNAL, *ADMIN, "/v1/nowhere", "/admin"]:
        outside = client.get(path, REMOTE_ADDR="203.0.113.9")
        inside = client.get(path, REMOTE_ADDR="10.2.3.4")
        if path.startswith("/v1"):
            assert (outside.status_code, outside.json()["errno"]) == (403, 40301), path
            assert inside.status_code != 403, path
        else:
            assert outside.status_code == 404, path
            assert inside.status_code != 404, path
        assert outside["X-Request-Id"]
    assert client.get("/docs/", REMOTE_ADDR="fd00::1").status_code == 200


def test_health_is_open_and_so_is_what_payers_need(enter: Any, settings: Any) -> None:
    settings.INTERNAL_NETWORKS = ["10.0.0.0/8"]
    client = enter("all")
    assert client.get("/healthz", REMOTE_ADDR="203.0.113.9").status_code == 200
    assert b"envelope" not in client.get("/c/unknown-token", REMOTE_ADDR="203.0.113.9").content
    assert is_routed("all", "/c/unknown-token")


def test_the_portal_is_open_to_the_outside(enter: Any, settings: Any) -> None:
    settings.INTERNAL_NETWORKS = ["10.0.0.0/8"]
    assert enter("portal").get("/admin/login/", REMOTE_ADDR="203.0.113.9").status_code == 200


def test_a_forwarded_internal_address_is_believed_from_our_proxy_only(enter: Any, settings: Any) -> None:
    settings.INTERNAL_NETWORKS = ["10.0.0.0/8"]
    client = enter("internal")
    claim = {"HTTP_X_FORWARDED_FOR": "10.2.3.4", "REMOTE_ADDR": "203.0.113.9"}
    assert client.get("/docs/", **claim).status_code == 404
    settings.TRUSTED_PROXIES = ["203.0.113.9"]
    assert client.get("/docs/", **claim).status_code == 200
    prepended = {"HTTP_X_FORWARDED_FOR": "10.2.3.4, 198.51.100.5", "REMOTE_ADDR": "203.0.113.9"}
    assert client.get("/docs/", **prepended).status_code == 404


@pytest.mark.parametrize(
    "path", ["//v1/gopay", "/./admin/", "/%61dmin/", "/ADMIN/", "/v1%2fgopay", "/admin;x/", "/docs//"]
)
def test_other_spellings_open_no_door(enter: Any, settings: Any, path: str) -> None:
    settings.INTERNAL_NETWORKS = ["10.0.0.0/8"]
    found = enter("internal").get(path, REMOTE_ADDR="203.0.113.9")
    assert found.status_code in (403, 404)
