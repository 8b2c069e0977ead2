"""Payment accounts (支付账户): the parameters form drawn from the provider, check, methods, states."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from channels.base.config import masked_config
from channels.base.discovery import methods_of, provider_for, providers
from channels.base.fields import FieldKind
from merchants.admin.changes import waiting
from merchants.admin.states import StateButtonsAdmin
from merchants.changes import account_change_request, account_open_request
from merchants.checking import account_check
from merchants.forms import AccountForm, NameForm, ReasonForm, method_label, say
from merchants.guards import why_account_not
from merchants.models import Merchant, PaymentAccount
from merchants.offer_changes import account_methods_change, account_name_change
from merchants.offering import account_methods
from merchants.people.reach import changes_accounts, may_ask_about
from merchants.services import account_advance, account_create, account_update_config
from merchants.states import GUARDED_STATES, OPENING, MerchantState
from paycenter.errors import ChannelConfigInvalid, TransitionRefused
from paycenter.staff.acts import written_reason
from paycenter.staff.display import chip, copyable, state_chip
from paycenter.staff.stepup import sensitive
from paycenter.staff.tenancy import actor_of, registered
from paycenter.staff.words import names_channels, names_methods

CERTIFICATE_WARNING = timedelta(days=30)


class ChannelFilter(admin.SimpleListFilter):
    title = _("channel")
    parameter_name = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, say(cls.name)) for code, cls in sorted(providers().items())]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(channel=self.value()) if self.value() else queryset


def ending_certificates(rows: Any) -> Any:
    """Those of `rows` whose certificate ends soon, or has ended; of accounts that are still needed."""
    soon = timezone.now() + CERTIFICATE_WARNING
    return rows.filter(certificate_expires_at__lt=soon).exclude(state=MerchantState.CLOSED)


class CertificateFilter(admin.SimpleListFilter):
    title = _("certificate")
    parameter_name = "certificate"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("ending", _("expires within 30 days"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return ending_certificates(queryset) if self.value() == "ending" else queryset


def _only_asks(_page: Any, request: HttpRequest, **_more: Any) -> bool:
    """An account's own company asks for what it wants of it, with a fresh code."""
    return not changes_accounts(request.user)


def _proposes(user: Any, account: PaymentAccount) -> bool:
    """Whether this is somebody of the account's company who may ask for changes of it: once it was in service. Until
    then it is filled in as part of the application."""
    return not changes_accounts(user) and may_ask_about(user, account) and account.state in GUARDED_STATES


@admin.register(PaymentAccount)
class PaymentAccountAdmin(StateButtonsAdmin):
    empty_text = _("A payment account is a contract with a channel.")
    empty_next = _("Set one up for each channel the company has signed with.")
    tenant_keys = {"merchant": "merchant_id"}
    asks = dict.fromkeys(OPENING, _("Payments can be taken once somebody else has confirmed it."))
    can_add = can_change = True
    list_display = [
        "name",
        "number",
        "merchant_name",
        "channel_name",
        "state_label",
        "check_label",
        "certificate_label",
    ]
    list_filter = ["state", ChannelFilter, CertificateFilter]
    list_select_related = ["merchant"]
    search_fields = ["name", "payment_no", "identity"]
    search_help_text = _("Name, payment number or identity at the channel")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("merchant")

    @display(description=_("payment number"))
    def number(self, obj: PaymentAccount) -> str:
        return copyable(obj.payment_no)

    @display(description=_("merchant"))
    def merchant_name(self, obj: PaymentAccount) -> str:
        return obj.merchant.name

    @display(description=_("channel"))
    def channel_name(self, obj: PaymentAccount) -> str:
        return channel_name(obj.channel)

    @display(description=_("state"), ordering="state")
    def state_label(self, obj: PaymentAccount) -> str:
        return state_chip(obj)

    @display(description=_("connection"))
    def check_label(self, obj: PaymentAccount) -> str:
        words = {True: (_("works"), "good"), False: (_("fails"), "bad"), None: (_("not checked"), "")}
        return chip(*words[obj.check_ok])

    @display(description=_("certificate"), ordering="certificate_expires_at")
    def certificate_label(self, obj: PaymentAccount) -> str:
        ends = obj.certificate_expires_at
        if ends is None:
            return "–"
        left = ends - timezone.now()
        tone = "bad" if left < timedelta(days=7) else "warn" if left < CERTIFICATE_WARNING else ""
        return chip(timezone.localtime(ends).date().isoformat(), tone)

    # ---- pages ----------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<path:object_id>/config/", wrap(self.config_view), name=self.view_name("config")),
            path("<path:object_id>/check/", wrap(self.check_view), name=self.view_name("check")),
            path("<path:object_id>/rename/", wrap(self.rename_view), name=self.view_name("rename")),
            path("<path:object_id>/methods/", wrap(self.methods_view), name=self.view_name("methods")),
        ]
        return [*own, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Channel and merchant first; then the form that channel declares."""
        self.require(request, "merchants.add_paymentaccount")
        merchants = self._merchants(request)
        merchant = merchants.filter(pk=_number(request.GET.get("merchant"))).first()
        provider = providers().get(request.GET.get("channel", ""))
        if merchant is None or provider is None:
            return self._choose(request, merchants, merchant)
        form = AccountForm(request.POST or None, request.FILES or None, provider=provider)
        if request.method == "POST" and form.is_valid() and (account := self._create(request, form, merchant)):
            messages.success(request, gettext("The account is open as a draft. Check the connection next."))
            return self._back(account)
        title = gettext("New account: %(channel)s") % {"channel": say(provider.name)}
        return self._render_form(request, form, title=title, merchant=merchant)

    def _choose(self, request: HttpRequest, merchants: Any, merchant: Merchant | None) -> HttpResponse:
        channels = [
            (code, say(cls.name), [say(m.name) for m in methods_of(code)]) for code, cls in sorted(providers().items())
        ]
        context = self.page_context(
            request, title=gettext("New payment account"), channels=channels, chosen=merchant,
            merchants=merchants.order_by("name")[:500],
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/account_choose.html", context)

    def _merchants(self, request: HttpRequest) -> Any:
        page = registered(Merchant)
        return page.get_queryset(request) if page else Merchant.objects.none()

    def _create(self, request: HttpRequest, form: AccountForm, merchant: Merchant) -> PaymentAccount | None:
        try:
            return account_create(
                merchant=merchant, channel=form.provider.code, name=form.cleaned_data["name"],
                config=form.raw_config(), methods=form.cleaned_data["methods"], actor=actor_of(request.user),
            )  # fmt: skip
        except ChannelConfigInvalid as exc:
            form.add_problems(exc)
        except TransitionRefused as exc:
            form.add_error(None, str(exc))
        return None

    def _render_form(self, request: HttpRequest, form: AccountForm, **extra: Any) -> HttpResponse:
        extra["channel_name"] = say(form.provider.name)
        context = self.page_context(request, extra.pop("account", None), form=form, **extra)
        response = TemplateResponse(request, "admin/pc/account_form.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """The account's page: summary, masked parameters, methods, check, states, history."""
        account = self.fetch(request, object_id)
        provider = providers().get(account.channel)
        context = self.page_context(
            request, account, title=account.name, account=account, channel_name=channel_name(account.channel),
            parameters=_parameters(account), methods=_methods(account), guarded=account.state in GUARDED_STATES,
            may_change=self.has_change_permission(request, account) and provider is not None,
            proposes=_proposes(request.user, account) and provider is not None,
            pending=waiting(request, account.changes.all()),
            check_chip=self.check_label(account), state_chip=state_chip(account),
            certificate=self.certificate_label(account), elsewhere=why_account_not(account),
            **self.state_context(request, account),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/account.html", context)

    def _fetch_to_change(self, request: HttpRequest, object_id: str) -> PaymentAccount:
        """An account that the reader changes, or asks to change. Raises Http404, PermissionDenied."""
        account: PaymentAccount = self.fetch(request, object_id)
        if not (self.has_change_permission(request, account) or _proposes(request.user, account)):
            raise PermissionDenied
        return account

    @sensitive(when=_only_asks)
    def config_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """New parameters: stored at once for a draft, asked for where the account is or was active."""
        account = self._fetch_to_change(request, object_id)
        guarded = account.state in GUARDED_STATES
        form = AccountForm(
            request.POST or None, request.FILES or None, provider=provider_for(account.channel),
            stored=account.config, with_methods=False, initial={"name": account.name},
        )  # fmt: skip
        form.fields["name"].disabled = True
        reason = ReasonForm(request.POST or None) if guarded else None
        valid = form.is_valid() and (reason is None or reason.is_valid())
        if request.method == "POST" and valid and self._store(request, account, form, reason):
            return self._back(account)
        title = gettext("Parameters of %(account)s") % {"account": account.name}
        return self._render_form(request, form, title=title, account=account, merchant=account.merchant, reason=reason)

    def _store(
        self, request: HttpRequest, account: PaymentAccount, form: AccountForm, reason: ReasonForm | None
    ) -> bool:
        config: Any = form.raw_config()
        try:
            if reason is not None:
                text = reason.cleaned_data["reason"]
                account_change_request(account=account, config=config, user=request.user, reason=text)  # type: ignore[arg-type]
                messages.success(request, gettext("Asked for. It takes effect once somebody else confirms it."))
            else:
                account_update_config(account=account, config=config, actor=actor_of(request.user))
                messages.success(request, gettext("The parameters are stored. Check the connection next."))
        except ChannelConfigInvalid as exc:
            form.add_problems(exc)
            return False
        except TransitionRefused as exc:
            form.add_error(None, str(exc))
            return False
        return True

    @sensitive(when=_only_asks)
    def rename_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Another name for staff: opens no doors, so one person of the center may; the company itself asks for it."""
        account = self._fetch_to_change(request, object_id)
        proposes = _proposes(request.user, account)
        form = NameForm(request.POST or None, initial={"name": account.name})
        reason = ReasonForm(request.POST or None) if proposes else None
        if request.method == "POST" and form.is_valid() and (reason is None or reason.is_valid()):
            self._rename(request, account, form.cleaned_data["name"])
            return self._back(account)
        title = gettext("Rename %(account)s") % {"account": account.name}
        context = self.page_context(
            request, account, title=title, forms=[form, *([reason] if reason else [])], cancel="../change/",
            submit=gettext("Ask for confirmation") if proposes else gettext("Save"),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/form.html", context)

    def _rename(self, request: HttpRequest, account: PaymentAccount, name: str) -> None:
        try:
            asked = account_name_change(
                account=account, name=name, user=request.user, reason=written_reason(request)  # type: ignore[arg-type]
            )
        except TransitionRefused as exc:
            messages.error(request, str(exc))
        else:
            waits = gettext("Asked for. It takes effect once somebody else confirms it.")
            messages.success(request, gettext("Saved.") if asked is None else waits)

    def check_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask the channel. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        account = self._fetch_to_change(request, object_id)
        if account.channel not in providers():
            raise Http404
        result = account_check(account=account, actor=actor_of(request.user))
        level = messages.SUCCESS if result.ok else messages.ERROR
        messages.add_message(request, level, say(result.message))
        return self._back(account)

    @sensitive(when=_only_asks)
    def methods_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Which scenes the contract covers; asked for where an account in service gets a further one, and by the
        account's own company in any case. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        account = self._fetch_to_change(request, object_id)
        try:
            asked = account_methods_change(
                account=account, methods=request.POST.getlist("methods"), user=request.user,  # type: ignore[arg-type]
                reason=written_reason(request),
            )  # fmt: skip
        except ChannelConfigInvalid as exc:
            messages.error(request, "; ".join(say(r) for reasons in exc.problems.values() for r in reasons))
        except TransitionRefused as exc:
            messages.error(request, str(exc))
        else:
            waits = gettext("Asked for. It takes effect once somebody else confirms it.")
            messages.success(request, gettext("Pay methods are set.") if asked is None else waits)
        return self._back(account)

    def _back(self, account: PaymentAccount) -> HttpResponse:
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[account.pk]))

    def guarded(self, record: Any, transition: str) -> bool:
        return bool(why_account_not(record))

    def advance_record(self, request: HttpRequest, record: Any, transition: str, reason: str) -> None:
        if transition not in self.asks:
            account_advance(account=record, transition=transition, actor=actor_of(request.user), reason=reason)
            return
        why = reason or gettext("Taken into use")
        account_open_request(account=record, transition=transition, user=request.user, reason=why)  # type: ignore[arg-type]


names_methods(method_label)


@names_channels
def channel_name(code: str) -> str:
    """The channel's name in the reader's language; the code where no folder defines it any more."""
    found = providers().get(code)
    return say(found.name) if found else code


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


_FILES = (FieldKind.PUBLIC_KEY, FieldKind.CERTIFICATE, FieldKind.CERTIFICATE_CHAIN)


def _parameters(account: PaymentAccount) -> list[tuple[str, str, bool]]:
    """(label, value fit to show, whether it is long text)."""
    provider = providers().get(account.channel)
    if provider is None:
        return []
    shown = masked_config(provider, account.config)
    rows = []
    for field in provider.fields:
        if field.name not in shown:
            continue
        value = shown[field.name]
        value = {c: say(label) for c, label in field.choices}.get(value, value)
        rows.append((say(field.label), str(value), field.kind in _FILES))
    return rows


def _methods(account: PaymentAccount) -> list[tuple[str, str, bool]]:
    """(code, name, whether the contract covers it)."""
    covered = account_methods(account)
    return [(m.code, method_label(m.code), m.code in covered) for m in methods_of(account.channel)]
