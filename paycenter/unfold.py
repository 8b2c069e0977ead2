"""How the admin looks and what its sidebar lists. Read by `settings.UNFOLD`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from paycenter.staff.landing import page_opens


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)


def _item(title: Any, icon: str, model: str) -> dict[str, Any]:
    app, name = model.split(".")
    return {
        "title": title, "icon": icon, "model": model, "permission": _may(f"{app}.view_{name}"),
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
    }  # fmt: skip


def _page(title: Any, icon: str, name: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "permission": page_opens(name), "link": reverse_lazy(f"admin:{name}")}


def _staff_mark(_request: HttpRequest) -> str:
    return static("admin-brand/mark.svg")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": _("Payment Center"),
    "SITE_HEADER": _("Payment Center"),
    "SITE_SUBHEADER": _("Collect · refund · reconcile"),
    "SITE_URL": None,
    "SITE_ICON": _staff_mark,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _staff_mark}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "LANGUAGES": {"action": reverse_lazy("admin:set_language"), "navigation": []},
    "ACCOUNT": {
        "navigation": [
            {"title": _("My exports"), "link": reverse_lazy("admin:paycenter_listexport_changelist")},
            {"title": _("Two-step verification"), "link": reverse_lazy("admin:security")},
            {"title": _("Change password"), "link": reverse_lazy("admin:password_change")},
        ]
    },
    "STYLES": [lambda _request: static("admin-brand/paycenter.css")],
    "SCRIPTS": [lambda _request: static("admin-brand/paycenter.js")],
    "BORDER_RADIUS": "8px",
    "COLORS": {
        "primary": {
            "50": "#eefbf6",
            "100": "#d5f5e7",
            "200": "#aee9d2",
            "300": "#78d7b8",
            "400": "#41bd99",
            "500": "#1ea27f",
            "600": "#0f7f64",
            "700": "#0d6853",
            "800": "#0d5344",
            "900": "#0c4439",
            "950": "#052720",
        }
    },
    "LOGIN": {"form": "paycenter.staff.login.LoginForm"},
    "SIDEBAR": {
        "show_search": False,
        "navigation": [
            {
                "items": [
                    {"title": _("Overview"), "icon": "dashboard", "link": reverse_lazy("admin:index")},
                    _page(_("Operations"), "monitoring", "dashboard_operations"),
                    _page(_("Figures"), "bar_chart", "dashboard_business"),
                    _page(_("Finance"), "account_balance", "dashboard_finance"),
                ]
            },
            {
                "title": _("Money"),
                "separator": True,
                "items": [
                    _item(_("Trades"), "receipt_long", "trades.trade"),
                    _item(_("Attempts"), "credit_card", "trades.attempt"),
                    _item(_("Refunds"), "undo", "refunds.refund"),
                    _item(_("Abnormal payments"), "report", "trades.abnormalpayment"),
                    _item(_("Refund policies"), "policy", "refunds.refundpolicy"),
                    _item(_("Contracts"), "contract", "trades.contract"),
                    _item(_("Channel health"), "monitor_heart", "trades.channelhealth"),
                ],
            },
            {
                "title": _("Reconciliation"),
                "separator": True,
                "items": [
                    _item(_("Days"), "calendar_month", "reconciliation.reconciliationday"),
                    _item(_("Differences"), "balance", "reconciliation.case"),
                    _item(_("Bills"), "description", "reconciliation.bill"),
                    _item(_("Bill rows"), "format_list_numbered", "reconciliation.billrow"),
                    _item(_("Settlement"), "account_balance", "reconciliation.settlementbatch"),
                    _item(_("Fee rates"), "percent", "reconciliation.feerate"),
                    _item(_("Settlement terms"), "event_repeat", "reconciliation.settlementterms"),
                    _item(_("Settlement calendars"), "event_busy", "reconciliation.settlementcalendar"),
                    _item(_("Bank statement formats"), "table_view", "reconciliation.bankprofile"),
                ],
            },
            {
                "title": _("Merchants"),
                "separator": True,
                "items": [
                    _item(_("Merchants"), "apartment", "merchants.merchant"),
                    _item(_("Applications"), "assignment", "onboarding.application"),
                    _item(_("Payment accounts"), "account_balance_wallet", "merchants.paymentaccount"),
                    _item(_("Apps"), "apps", "merchants.app"),
                    _item(_("Cashier"), "point_of_sale", "merchants.cashiermethod"),
                    _item(_("Printed codes"), "qr_code_2", "cashier.printedcode"),
                    _item(_("Changes to confirm"), "rule", "merchants.changerequest"),
                ],
            },
            {
                "title": _("Notices"),
                "separator": True,
                "items": [
                    _item(_("Notifications to apps"), "outbox", "notifications.notification"),
                    _item(_("Deliveries"), "send", "notifications.delivery"),
                    _item(_("Alerts"), "notifications_active", "notifications.alert"),
                ],
            },
            {
                "title": _("Records"),
                "separator": True,
                "items": [
                    _item(_("Exchanges"), "swap_horiz", "paycenter.exchange"),
                    _item(_("Events"), "history", "paycenter.event"),
                    _item(_("Audit"), "verified_user", "paycenter.auditverification"),
                ],
            },
            {
                "title": _("Settings"),
                "separator": True,
                "items": [
                    _item(_("Retry schedules"), "schedule", "paycenter.retryschedule"),
                    _item(_("Alert rules"), "tune", "notifications.alertrule"),
                    _item(_("Alert receivers"), "campaign", "notifications.alertroute"),
                    _item(_("Backlog limits"), "hourglass_top", "notifications.backloglimit"),
                    _item(_("Staff"), "group", "merchants.user"),
                ],
            },
        ],
    },
}

GROUPS: list[dict[str, Any]] = UNFOLD["SIDEBAR"]["navigation"]
# Where each role's day begins: the group of this page comes first in its menu.
_FIRST = {
    "operator": "merchants.changerequest", "owner": "merchants.user", "merchant": "trades.trade",
    "app": "merchants.cashiermethod", "finance": "refunds.refund", "service": "trades.trade",
    "auditor": "paycenter.event",
}  # fmt: skip


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar of this person: what the role may see, with the role's own work at the top."""
    first = _FIRST.get(getattr(request.user, "role", ""), "")
    head, *groups = GROUPS
    mine = [group for group in groups if any(item.get("model") == first for item in group["items"])]
    return [head, *mine, *(group for group in groups if group not in mine)]


UNFOLD["SIDEBAR"]["navigation"] = navigation
