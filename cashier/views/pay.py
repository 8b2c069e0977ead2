"""`/c/<token>/pay`: the pay button. Always answers 303, so that reloading never pays again."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from cashier.headers import payer_page
from cashier.origin import from_our_pages
from cashier.selectors import FINAL_PHASES, is_over, page_by_token, trade_phase
from cashier.views.showing import SeeOther, not_found, page_path
from cashier.views.starting import choice_by_code, start


@require_POST
@payer_page
@from_our_pages
def pay(request: HttpRequest, token: str) -> HttpResponse:
    page = page_by_token(token)
    if page is None:
        return not_found(request)
    now = timezone.now()
    if trade_phase(page.trade, now) in FINAL_PHASES or is_over(page.trade, now):
        return SeeOther(page_path(page))
    seen = request.POST.get("amount")
    if seen is not None and seen != str(page.trade.amount):
        return SeeOther(page_path(page, notice="amount"))
    code = request.POST.get("method", "")
    choice = choice_by_code(request, page, code)
    if choice is None or choice.unavailable is not None:
        return SeeOther(page_path(page, notice="unavailable", method=code[:32]))
    return SeeOther(start(request, page, choice))
