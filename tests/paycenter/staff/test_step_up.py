"""Sensitive acts ask for the code again, and nothing that was filled in is lost."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.contrib import admin, messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django_otp.plugins.otp_totp.models import TOTPDevice

from merchants import changes
from merchants.models import ChangeRequest, User
from paycenter.staff import stepup
from paycenter.staff.codes import matching_device, new_recovery_codes
from paycenter.staff.tenancy import TenantAdmin
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff, signed_in
from tests.paycenter.staff.test_second_factor import code_of

NEW = {"merchant": "fake-merchant", "secret": "the-new-channel-secret"}


@pytest.fixture
def change(world: World) -> ChangeRequest:
    return changes.account_change_request(
        account=world.account, config=NEW, user=make_staff("operator"), reason="rotation"
    )


@pytest.fixture
def finance(db: None) -> tuple[User, TOTPDevice]:
    user = make_staff("finance")
    return user, TOTPDevice.objects.create(user=user, name="app", confirmed=True)


def stale(user: User, device: TOTPDevice) -> Client:
    """Signed in with the second factor, long ago."""
    return signed_in(user, device=device)


def held_in(answer: Any) -> str:
    found = re.search(r'name="held_form" value="([^"]+)"', answer.content.decode())
    assert found, "the page asks for a code"
    return found[1]


def confirm_url(change: ChangeRequest) -> str:
    return f"/admin/merchants/changerequest/{change.pk}/decide/confirm/"


def test_an_old_code_is_asked_for_again_and_the_comment_is_kept(change: ChangeRequest, finance: Any) -> None:
    client, url = stale(*finance), confirm_url(change)
    asked = client.post(url, {"reason": "called the company back"})
    assert fresh(change).state == "pending"
    assert "no-store" in asked["Cache-Control"]
    assert "called the company back" not in asked.content.decode()
    held = held_in(asked)
    wrong = client.post(url, {"held_form": held, "step_up_code": "000000"})
    assert fresh(change).state == "pending"
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    client.post(url, {"held_form": held_in(wrong), "step_up_code": code_of(finance[1])})
    done = fresh(change)
    assert (done.state, done.comment) == ("confirmed", "called the company back")


def test_a_fresh_code_is_not_asked_for_again(change: ChangeRequest, finance: Any, settings: Any) -> None:
    client = stale(*finance)
    session = client.session
    session["code_at"] = int(time.time()) - settings.CODE_FRESH_SECONDS + 60
    session.save()
    client.post(confirm_url(change))
    assert fresh(change).state == "confirmed"


def test_rejecting_asks_for_nothing(change: ChangeRequest, finance: Any) -> None:
    stale(*finance).post(f"/admin/merchants/changerequest/{change.pk}/decide/reject/", {"reason": "no"})
    assert fresh(change).state == "rejected"


def test_a_recovery_code_does_too_and_only_once(change: ChangeRequest, finance: Any) -> None:
    code = new_recovery_codes(finance[0])[0]
    client = stale(*finance)
    client.post(confirm_url(change), {"held_form": held_in(client.post(confirm_url(change))), "step_up_code": code})
    assert fresh(change).state == "confirmed"
    assert matching_device(finance[0], code) is None


def test_a_code_that_let_somebody_in_confirms_nothing(change: ChangeRequest, finance: Any) -> None:
    code = code_of(finance[1])
    assert matching_device(finance[0], code) is not None
    client = stale(*finance)
    client.post(confirm_url(change), {"held_form": held_in(client.post(confirm_url(change))), "step_up_code": code})
    assert fresh(change).state == "pending"


@pytest.mark.parametrize("how", ["of another person", "of another address", "too old", "made up"])
def test_a_held_form_is_good_for_one_person_and_one_address(
    change: ChangeRequest, finance: Any, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, url = stale(*finance), confirm_url(change)
    held = held_in(client.post(url))
    if how == "of another person":
        other = make_staff("finance", username="other")
        client = stale(other, device := TOTPDevice.objects.create(user=other, name="app", confirmed=True))
        finance = (other, device)
    elif how == "of another address":
        url = url.replace("confirm", "reject")
    elif how == "too old":
        monkeypatch.setattr(stepup, "_HELD_SECONDS", -1)
    else:
        held = "gAAAAAB" + "x" * 90
    client.post(url, {"held_form": held, "step_up_code": code_of(finance[1])})
    assert fresh(change).state == "pending"


def test_who_has_no_second_factor_is_not_asked_where_none_is_required(change: ChangeRequest) -> None:
    signed_in(make_staff("finance")).post(confirm_url(change))
    assert fresh(change).state == "confirmed"


def test_uploaded_files_come_back_too(finance: Any) -> None:
    seen: dict[str, Any] = {}

    def view(request: Any) -> HttpResponse:
        seen.update(request.POST.lists(), file=request.FILES["key"].read(), name=request.FILES["key"].name)
        return HttpResponse("ran")

    view.wants_code = lambda *_args, **_kwargs: True  # type: ignore[attr-defined]
    guarded = stepup.guarded(view)

    def post(data: dict[str, Any]) -> Any:
        request = RequestFactory().post("/admin/x/", data)
        request.user, request.session = finance[0], {}  # type: ignore[attr-defined, assignment]
        request.user.is_verified = lambda: True  # type: ignore[attr-defined, union-attr]
        answer = guarded(request)
        return answer.render() if hasattr(answer, "render") else answer

    asked = post({"names": ["a", "b"], "key": SimpleUploadedFile("key.pem", b"\x00secret")})
    assert not seen
    assert post({"held_form": held_in(asked), "step_up_code": code_of(finance[1])}).content == b"ran"
    assert seen == {"names": ["a", "b"], "file": b"\x00secret", "name": "key.pem"}


class _WithAction(TenantAdmin):
    def get_actions(self, request: Any) -> Any:
        return {"wipe": (type(self).wipe, "wipe", "Wipe")}

    @stepup.sensitive
    def wipe(self, request: Any, queryset: Any) -> None:
        messages.success(request, f"wiped {queryset.count()}")


def test_bulk_actions_ask_and_go_on_with_what_was_chosen(
    world: World, finance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = admin.site._registry[type(world.merchant)]
    for name in ("get_actions", "wipe"):
        monkeypatch.setattr(type(page), name, vars(_WithAction)[name], raising=False)
    client, url = stale(*finance), "/admin/merchants/merchant/"
    asked = client.post(url, {"action": "wipe", "_selected_action": str(world.merchant.pk), "index": "0"})
    answer = client.post(url, {"held_form": held_in(asked), "step_up_code": code_of(finance[1])}, follow=True)
    assert "wiped 1" in answer.content.decode()


SENSITIVE = [
    "/admin/merchants/user/add/", "/admin/merchants/app/add/", "/admin/merchants/user/{user}/reset-factor/",
    "/admin/merchants/user/{user}/link/", "/admin/merchants/app/{app}/secret/app_hmac/",
    "/admin/merchants/app/{app}/rsa/",
]  # fmt: skip


@pytest.mark.parametrize("url", SENSITIVE)
def test_what_opens_doors_asks(world: World, url: str) -> None:
    operator, clerk = make_staff("operator"), make_staff("service")
    client = stale(operator, TOTPDevice.objects.create(user=operator, name="app", confirmed=True))
    assert held_in(client.post(url.format(user=clerk.pk, app=world.app.pk), {"reason": "because"}))
    assert not ChangeRequest.objects.exists()
