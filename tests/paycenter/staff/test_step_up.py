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
from django.urls import resolve
from django_otp.plugins.otp_totp.models import TOTPDevice

from merchants import changes
from merchants.models import ChangeRequest, User
from paycenter.models import Event
from paycenter.staff import stepup
from paycenter.staff.codes import matching_device, new_recovery_codes
from paycenter.staff.tenancy import TenantAdmin
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.admin_pages import patterns
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
    told = Event.objects.get(type="user.code_failed")
    assert (told.actor, told.detail["path"]) == ("staff:finance", url)
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


# What moves money, opens doors or shows what is shown to few: posted to, or looked at where no form is named.
_M, _R = "/admin/merchants", "/admin/reconciliation"
SENSITIVE: list[tuple[str, dict[str, str] | None]] = [
    *((f"/admin/refunds/refund/1/act/{act}/", {}) for act in ("approve", "release", "send_again", "payout_right")),
    *(("/admin/refunds/refund/bulk/", {"decision": act}) for act in ("approve", "release")),
    ("/admin/refunds/refund/1/voucher/1/", None),
    *((f"/admin/trades/abnormalpayment/1/keep/{decision}/", {}) for decision in ("ask", "confirm")),
    (f"{_R}/case/1/act/confirm/", {}),
    *((f"{_R}/settlementbatch/1/act/{act}/", {}) for act in ("accept", "override")),
    (f"{_M}/changerequest/1/decide/confirm/", {}),
    *((f"{_M}/app/{place}/", {}) for place in ("add", "1/rsa", "1/secret/app_hmac", "1/secret/app_webhook")),
    (f"{_M}/app/1/shown-once/", None),
    *((f"{_M}/paymentaccount/1/{place}/", {}) for place in ("config", "methods", "rename")),
    *((f"{_M}/user/{place}/", {}) for place in ("add", "1/change", "1/link", "1/ask-link", "1/reset-factor")),
    (f"{_M}/user/1/link-shown/", None),
    ("/admin/onboarding/application/add/", {}),
    ("/admin/onboarding/application/1/decide/", {"decision": "approve"}),
    ("/admin/onboarding/application/1/numbers/1/", {}),
    ("/admin/onboarding/application/1/file/1/", None),
]


def test_all_that_is_sensitive_asks(db: None) -> None:
    """Before it looks whether there is such a record, or whether this person may."""
    user = make_staff("service")
    client = stale(user, TOTPDevice.objects.create(user=user, name="app", confirmed=True))
    answers = [(url, client.get(url) if data is None else client.post(url, data)) for url, data in SENSITIVE]
    assert not [url for url, answer in answers if 'name="held_form"' not in answer.content.decode()]


def test_the_list_of_what_is_sensitive_is_whole() -> None:
    """Every view that is marked is in the list above."""
    listed = {resolve(url).url_name for url, _data in SENSITIVE}
    marked = {pattern.name for _route, pattern in patterns() if hasattr(pattern.callback, "wants_code")}
    assert marked == listed
