"""`/c/<token>/auth/<channel>`: asks the channel who the payer is, and starts paying with the answer."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from cashier.headers import payer_page
from cashier.identity import (
    Authorisation,
    StateRefused,
    known_payer,
    new_state,
    read_state,
    remember_browser,
    remember_payer,
)
from cashier.models import CashierOrder
from cashier.selectors import Choice, Phase, is_over, page_by_token, trade_phase
from cashier.views.going import leave
from cashier.views.showing import SeeOther, not_found, page_path, show_message
from cashier.views.starting import choice_by_code, start
from channels.base.discovery import provider_for
from merchants.channels import provider_of
from paycenter.errors import BadSignature, ChannelError, ConfigError

log = structlog.get_logger(__name__)


@require_safe
@payer_page
def authorise(request: HttpRequest, token: str, channel: str) -> HttpResponse:
    page = page_by_token(token)
    if page is None:
        return not_found(request)
    now = timezone.now()
    if trade_phase(page.trade, now) not in (Phase.OPEN, Phase.CONFIRMING) or is_over(page.trade, now):
        return SeeOther(page_path(page))
    if "state" in request.GET:
        return _finish(request, page, channel)
    choice = _choice(request, page, channel, request.GET.get("method", ""))
    return SeeOther(page_path(page)) if choice is None else _begin(request, page, choice)


def _begin(request: HttpRequest, page: CashierOrder, choice: Choice) -> HttpResponse:
    """Send the browser to the channel, with a state only this page and browser can bring back."""
    wanted = Authorisation(page.token, choice.code, choice.account.payment_no)
    state, nonce = new_state(request, wanted)
    back = settings.PUBLIC_BASE_URL + reverse("cashier:auth", args=[page.token, choice.account.channel])
    try:
        address = provider_of(choice.account).authorize_url(redirect_uri=back, state=state)
    except ConfigError as exc:
        log.error("cashier.authorisation_unusable", payment_no=choice.account.payment_no, problem=str(exc))
        return _without_asking(request, page, choice)
    response = leave(request, page, address, _("Asking %(channel)s who is paying") % {"channel": _channel_name(choice)})
    remember_browser(request, response, page.token, nonce)
    return response


def _without_asking(request: HttpRequest, page: CashierOrder, choice: Choice) -> HttpResponse:
    """The account cannot ask; the payer the app named is the best that is known."""
    key = choice.method.payer_key
    named = (page.trade.payer or {}).get(key or "")
    if key is None or not named:
        return SeeOther(page_path(page, notice="unavailable", method=choice.code))
    return SeeOther(start(request, page, choice, {key: named}))


def _finish(request: HttpRequest, page: CashierOrder, channel: str) -> HttpResponse:
    """The browser is back with a code; WeChat calls it `code`, Alipay `auth_code`."""
    try:
        wanted = read_state(request, request.GET["state"], page.token)
    except StateRefused:
        return _refused(request, page)
    choice = _choice(request, page, channel, wanted.method)
    if choice is None or choice.account.payment_no != wanted.payment_no:
        return SeeOther(page_path(page, notice="unavailable", method=wanted.method))
    code = request.GET.get("auth_code") or request.GET.get("code") or ""
    try:
        payer = dict(provider_of(choice.account).payer_from_code(code)) if code else {}
    except BadSignature:
        payer = {}
    except ChannelError as exc:
        log.warning("cashier.authorisation_failed", trade_no=page.trade.trade_no, problem=str(exc))
        return _unreachable(request, page, choice)
    # A reloaded address carries a code that was used; what it told is still in the cookie.
    payer = payer or known_payer(request, page.token, wanted.payment_no)
    if not payer.get(choice.method.payer_key or ""):
        return _refused(request, page)
    response = SeeOther(start(request, page, choice, payer))
    remember_payer(request, response, wanted, payer)
    return response


def _choice(request: HttpRequest, page: CashierOrder, channel: str, code: str) -> Choice | None:
    choice = choice_by_code(request, page, code)
    usable = choice is not None and choice.account.channel == channel and choice.method.payer_key is not None
    return choice if usable else None


def _refused(request: HttpRequest, page: CashierOrder) -> HttpResponse:
    return show_message(
        request, page=page, status=403, title=_("We could not confirm who is paying"),
        text=_("The confirmation is out of date or belongs to another page. You have not been charged."),
        action=(_("Try again"), page_path(page)),
    )  # fmt: skip


def _unreachable(request: HttpRequest, page: CashierOrder, choice: Choice) -> HttpResponse:
    return show_message(
        request, page=page, status=503, title=_("%(channel)s does not answer") % {"channel": _channel_name(choice)},
        text=_("You have not been charged. Try again in a moment, or choose another way to pay."),
        action=(_("Back to the order"), page_path(page)),
    )  # fmt: skip


def _channel_name(choice: Choice) -> str:
    return provider_for(choice.account.channel).name.text(get_language())
