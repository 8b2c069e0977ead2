"""What payers see: the cashier's methods and order per app and merchant, its layout, printed codes."""

from __future__ import annotations

from typing import Any

import segno
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from cashier.layout import DEFAULT_ACCENT, layout_problems
from cashier.models import PrintedCode
from channels.base.discovery import method_for, methods, provider_code_of
from merchants.admin.changes import waiting
from merchants.forms import method_label
from merchants.models import AccountMethod, App, AppMerchant, CashierMethod, ChangeRequest, Merchant
from merchants.offer_changes import cashier_methods_change
from merchants.services import app_update
from paycenter.errors import ChannelConfigInvalid, TransitionRefused
from paycenter.money import is_currency
from paycenter.staff.acts import written_reason
from paycenter.staff.amount_field import AmountField
from paycenter.staff.display import chip, money
from paycenter.staff.tenancy import TenantAdmin, actor_of, registered, tenant_of


class LayoutForm(forms.Form):
    """How a business line's cashier page looks."""

    title_zh = forms.CharField(label=_("Heading (Chinese)"), max_length=32, required=False)
    title_en = forms.CharField(label=_("Heading (English)"), max_length=32, required=False)
    accent = forms.CharField(
        label=_("Accent colour"), initial=DEFAULT_ACCENT,
        widget=forms.TextInput({"type": "color", "class": "pc-colour"}),
        help_text=_("Dark enough for white text to be read on it."),
    )  # fmt: skip
    rows = forms.CharField(
        label=_("Detail rows that come first"), required=False, widget=forms.Textarea({"rows": 4}),
        help_text=_("One label per line, as the app sends them. The others follow as sent."),
    )  # fmt: skip

    mini_page = forms.CharField(
        label=_("Payment page of the mini program"), required=False, max_length=101,
        help_text=_("Such as /pages/pay/pay: the page that starts WeChat Pay. Empty where there is none."),
    )  # fmt: skip

    def layout(self) -> dict[str, Any]:
        """The layout as it is stored."""
        data = self.cleaned_data
        found: dict[str, Any] = {"accent": data["accent"].lower()}
        if data["title_zh"] or data["title_en"]:
            found["title"] = {"zh": data["title_zh"] or data["title_en"], "en": data["title_en"] or data["title_zh"]}
        if rows := [line.strip() for line in data["rows"].splitlines() if line.strip()]:
            found["rows"] = rows
        if page := data["mini_page"].strip():
            found["mini_page"] = page
        return found

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            for key, reasons in layout_problems(self.layout()).items():
                self.add_error("title_zh" if key == "title" else key, reasons)
        return cleaned


@admin.register(CashierMethod)
class CashierMethodAdmin(TenantAdmin):
    """No list of its own: the pages hang below an app and a merchant."""

    empty_text = _("No app's cashier shows a pay method yet.")
    empty_next = _("Choose on an app's page which pay methods its cashier shows.")
    tenant_keys = {"app": "app_id"}
    can_change = True
    list_display = ["app", "merchant", "method_name", "place"]
    sortable_by = ()
    list_select_related = ["app", "merchant"]

    def name_of(self, obj: CashierMethod) -> str:
        return method_label(obj.method)

    @display(description=_("position"))
    def place(self, obj: CashierMethod) -> int:
        """Counted from one, as where it is chosen."""
        return obj.position + 1

    @display(description=_("pay method"))
    def method_name(self, obj: CashierMethod) -> str:
        return self.name_of(obj)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path(
                "configure/<int:app_pk>/<int:merchant_pk>/", wrap(self.configure_view), name=self.view_name("configure")
            ),
            path("layout/<int:app_pk>/", wrap(self.layout_view), name=self.view_name("layout")),
        ]
        return [*own, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.fetch(request, object_id)
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('configure')}", args=[row.app_id, row.merchant_id]))

    def _app(self, request: HttpRequest, app_pk: int) -> App:
        page = registered(App)
        app = page.get_queryset(request).filter(pk=app_pk).first() if page else None
        if app is None:
            raise Http404
        return app

    def configure_view(self, request: HttpRequest, app_pk: int, merchant_pk: int) -> HttpResponse:
        """Which methods the cashier shows for an app and a merchant, and in which order."""
        verb = "change" if request.method == "POST" else "view"
        self.require(request, f"merchants.{verb}_cashiermethod")
        app = self._app(request, app_pk)
        link = (
            AppMerchant.objects.filter(app=app, merchant_id=merchant_pk, is_active=True)
            .select_related("merchant")
            .first()
        )
        if link is None:
            raise Http404
        rows = _choices(app, link.merchant)
        if request.method == "POST" and self._save(request, app, link.merchant, rows):
            return HttpResponseRedirect(request.path)
        title = gettext("Cashier of %(app)s for %(merchant)s") % {"app": app.name, "merchant": link.merchant.name}
        context = self.page_context(
            request, title=title, app=app, merchant=link.merchant, rows=rows,
            may_change=request.user.has_perm("merchants.change_cashiermethod"),
            pending=waiting(
                request, app.changes.filter(kind=ChangeRequest.Kind.CASHIER_METHODS, scope=link.merchant.merchant_no)
            ),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/cashier_methods.html", context)

    def _save(self, request: HttpRequest, app: App, merchant: Merchant, rows: list[dict[str, Any]]) -> bool:
        """Take the shown rows in the order of their positions; an unreadable position goes last."""
        allowed = {row["key"]: row for row in rows}
        shown = [allowed[key] for key in request.POST.getlist("shown") if key in allowed]
        shown.sort(key=lambda row: _position(request.POST.get(f"position-{row['key']}", "")))
        chosen = [(row["account"], row["method"]) for row in shown]
        try:
            asked = cashier_methods_change(
                app=app, merchant=merchant, methods=chosen, user=request.user, reason=written_reason(request)  # type: ignore[arg-type]
            )
        except ChannelConfigInvalid:
            text = gettext("Show each pay method once: two accounts of the merchant have it, choose one.")
            messages.error(request, text)
            return False
        except TransitionRefused as exc:
            messages.error(request, str(exc))
            return False
        waits = gettext("Asked for. It takes effect once somebody else confirms it.")
        shows = gettext("The cashier shows these methods in this order.")
        messages.success(request, shows if asked is None else waits)
        return True

    def layout_view(self, request: HttpRequest, app_pk: int) -> HttpResponse:
        """Heading, colour and row order of an app's cashier page."""
        self.require(request, "merchants.change_cashiermethod")
        app = self._app(request, app_pk)
        form = LayoutForm(request.POST or None, initial=_layout_initial(app.cashier_layout))
        if request.method == "POST" and form.is_valid():
            app_update(app=app, values={"cashier_layout": form.layout()}, actor=actor_of(request.user))
            messages.success(request, gettext("Saved."))
            return HttpResponseRedirect(reverse("admin:merchants_app_change", args=[app.pk]))
        title = gettext("Cashier page of %(app)s") % {"app": app.name}
        context = self.page_context(
            request,
            title=title,
            forms=[form],
            submit=gettext("Save"),
            cancel=reverse("admin:merchants_app_change", args=[app.pk]),
        )
        return TemplateResponse(request, "admin/pc/form.html", context)


def _position(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 5 else 99_999


def _choices(app: App, merchant: Merchant) -> list[dict[str, Any]]:
    """Every method the merchant's accounts cover, those shown first and in their order."""
    present = {
        (c.account_id, c.method): c.position
        for c in CashierMethod.objects.filter(app=app, merchant=merchant, is_active=True)
    }
    covered = AccountMethod.objects.filter(account__merchant=merchant, is_active=True).exclude(account__state="closed")
    rows = [
        {
            "key": f"{c.account_id}-{c.method}", "account": c.account, "method": c.method,
            "name": method_label(c.method),
            "shown": (c.account_id, c.method) in present, "rank": present.get((c.account_id, c.method), 10_000),
        }
        for c in covered.select_related("account__merchant").order_by("account_id", "method")
        if c.method in methods() and provider_code_of(c.method) == c.account.channel and method_for(c.method).devices
    ]  # fmt: skip
    return sorted(rows, key=lambda row: row["rank"])


def _layout_initial(layout: dict[str, Any]) -> dict[str, Any]:
    title = layout.get("title", "")
    both = title if isinstance(title, dict) else {"zh": title, "en": title}
    return {
        "title_zh": both.get("zh", ""), "title_en": both.get("en", ""),
        "accent": layout.get("accent", DEFAULT_ACCENT), "rows": "\n".join(layout.get("rows", [])),
        "mini_page": layout.get("mini_page", ""),
    }  # fmt: skip


_USUAL_CURRENCY = "CNY"
_COLLECTS_FOR = {"app": "app_label", "merchant": "merchant_label"}


class PrintedCodeForm(forms.ModelForm):  # type: ignore[type-arg]
    """The amount as it is on a price tag, in the currency beside it."""

    fixed_amount = AmountField(
        label=_("Fixed amount"), currency=_USUAL_CURRENCY, minimum=1, required=False,
        widget=UnfoldAdminTextInputWidget({"inputmode": "decimal", "autocomplete": "off"}),
        help_text=_("Such as 128.50. Empty: the payer enters the amount."),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        currency = self.data.get("currency") or self.instance.currency
        self.fields["fixed_amount"].currency = currency if is_currency(currency) else _USUAL_CURRENCY  # type: ignore[attr-defined]

    def clean_currency(self) -> str:
        currency: str = self.cleaned_data["currency"]
        if not is_currency(currency):
            raise ValidationError(_("Three capital letters of a currency, such as CNY."))
        return currency


@admin.register(PrintedCode)
class PrintedCodeAdmin(TenantAdmin):
    """QR codes on paper: one code for WeChat and Alipay."""

    form = PrintedCodeForm
    read_as = {"fixed_amount": "amount_label"}
    empty_text = _("A printed code hangs at a counter: whoever scans it pays there.")
    empty_next = _("Make the first one.")
    tenant_keys = {"app": "app_id", "merchant": "merchant_id"}
    can_add = can_change = True
    list_display = ["title", "app", "merchant", "amount_label", "active_label", "created_time"]
    list_filter = ["is_active"]
    list_select_related = ["app", "merchant"]
    fields = ["title", "app", "merchant", "fixed_amount", "currency", "is_active"]
    change_form_outer_after_template = "admin/pc/printed_code.html"

    @display(description=_("amount"))
    def amount_label(self, obj: PrintedCode) -> str:
        return str(_("entered by the payer")) if obj.fixed_amount is None else money(obj.fixed_amount, obj.currency)

    @display(description=_("state"))
    def active_label(self, obj: PrintedCode) -> str:
        return chip(_("active"), "good") if obj.is_active else chip(_("switched off"), "warn")

    def get_readonly_fields(self, request: HttpRequest, obj: PrintedCode | None = None) -> Any:
        """Whom a code collects for is fixed: it hangs on walls, and its payers could be led to somebody else."""
        return [*super().get_readonly_fields(request, obj), *(_COLLECTS_FOR.values() if obj is not None else ())]

    def get_fields(self, request: HttpRequest, obj: PrintedCode | None = None) -> Any:
        """As words: Django makes a link of a key, also for those who may not follow it."""
        return [_COLLECTS_FOR.get(name, name) if obj is not None else name for name in self.fields]

    @display(description=_("app"))
    def app_label(self, obj: PrintedCode) -> str:
        return str(obj.app)

    @display(description=_("merchant"))
    def merchant_label(self, obj: PrintedCode) -> str:
        return str(obj.merchant)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        tenant = tenant_of(request.user)
        if db_field.name == "merchant" and tenant is not None and tenant.kind == "app":
            linked = AppMerchant.objects.filter(app=tenant.pk, is_active=True)
            kwargs["queryset"] = Merchant.objects.filter(pk__in=linked.values("merchant_id"))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        extra = dict(extra_context or {})
        code = self.get_object(request, object_id) if object_id else None
        if code is not None:
            address = f"{settings.PUBLIC_BASE_URL}/q/{code.code}"
            extra |= {
                "printed_url": address,
                "printed_qr": segno.make(address, error="q").svg_data_uri(scale=6, border=3),
            }
        return super().changeform_view(request, object_id, form_url, extra)
