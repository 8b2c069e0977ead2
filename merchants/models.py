"""Who collects money (merchants), through which accounts, for which apps, and who may sign in."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField
from simple_history.models import HistoricalRecords

from merchants.people.models import Invitation as Invitation
from merchants.people.models import Letter as Letter
from merchants.states import ChangeState, ChangeStates, MerchantState, OnboardingStates
from paycenter.crypto import EncryptedJSONField, EncryptedTextField


class Merchant(OnboardingStates, models.Model):
    """A property company (物业公司)."""

    merchant_no = models.CharField(_("merchant number"), max_length=32, unique=True, editable=False)
    name = models.CharField(_("company name"), max_length=128)
    short_name = models.CharField(
        _("short name"), max_length=32, blank=True, help_text=_("Shown to payers on the cashier page.")
    )
    state = FSMField(
        _("state"), choices=MerchantState.choices, default=MerchantState.DRAFT, protected=True, editable=False
    )
    timezone = models.CharField(_("time zone"), max_length=48, default="Asia/Shanghai")
    contact_name = models.CharField(_("contact"), max_length=64, blank=True)
    contact_phone = models.CharField(_("contact phone"), max_length=32, blank=True)
    contact_email = models.EmailField(_("contact e-mail"), blank=True)
    note = models.TextField(_("note"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    version = models.IntegerField(default=0, editable=False)

    class Meta:
        verbose_name = _("merchant")
        verbose_name_plural = _("merchants")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.merchant_no})"

    def event_fields(self) -> dict[str, Any]:
        return {"merchant_no": self.merchant_no}


class App(models.Model):
    """A business application that wants to be paid."""

    app_id = models.CharField(_("app id"), max_length=32, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=64)
    is_active = models.BooleanField(_("active"), default=True)
    allowed_ips = models.JSONField(
        _("allowed source addresses"), default=list, blank=True,
        help_text=_("Networks such as 203.0.113.0/24, one per line. Empty: any address."),
    )  # fmt: skip
    notify_url = models.CharField(_("default notification address"), max_length=512, blank=True)
    return_url = models.CharField(_("default return address"), max_length=512, blank=True)
    webhook_secret = EncryptedTextField(_("webhook secret"), editable=False, default="")
    webhook_secret_previous = EncryptedTextField(_("previous webhook secret"), editable=False, default="", blank=True)
    requests_per_second = models.PositiveIntegerField(_("requests per second"), default=500)
    cashier_layout = models.JSONField(
        _("cashier layout"), default=dict, blank=True,
        help_text=_("Title, accent colour and which detail rows come first."),
    )  # fmt: skip
    merchants = models.ManyToManyField(Merchant, through="AppMerchant", verbose_name=_("merchants"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    history = HistoricalRecords(excluded_fields=["webhook_secret", "webhook_secret_previous"])

    class Meta:
        verbose_name = _("app")
        verbose_name_plural = _("apps")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.app_id})"

    def event_fields(self) -> dict[str, Any]:
        return {"app_id": self.app_id}


class AppKey(models.Model):
    """A key an app signs its requests with: an HMAC secret, or the app's RSA public key."""

    class Kind(models.TextChoices):
        HMAC = "hmac", "HMAC-SHA256"
        RSA = "rsa", "RSA2"

    class Slot(models.TextChoices):
        CURRENT = "current", _("current")
        PREVIOUS = "previous", _("previous")

    app = models.ForeignKey(App, models.CASCADE, related_name="keys", verbose_name=_("app"))
    kind = models.CharField(_("type"), max_length=4, choices=Kind)
    slot = models.CharField(_("slot"), max_length=8, choices=Slot, default=Slot.CURRENT)
    value = EncryptedTextField(_("secret or public key"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("app key")
        verbose_name_plural = _("app keys")
        constraints = [models.UniqueConstraint(fields=["app", "kind", "slot"], name="appkey_one_per_slot")]

    def __str__(self) -> str:
        return f"{self.kind} {self.slot}"


class AppMerchant(models.Model):
    """An app may collect for a merchant."""

    app = models.ForeignKey(App, models.CASCADE, verbose_name=_("app"))
    merchant = models.ForeignKey(Merchant, models.CASCADE, verbose_name=_("merchant"))
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("app's merchant")
        verbose_name_plural = _("app's merchants")
        constraints = [models.UniqueConstraint(fields=["app", "merchant"], name="appmerchant_unique")]

    def __str__(self) -> str:
        return f"{self.app_id} → {self.merchant_id}"


class PaymentAccount(OnboardingStates, models.Model):
    """A merchant's contract with a channel: encrypted parameters, as the provider declares them."""

    payment_no = models.CharField(_("payment number"), max_length=32, unique=True, editable=False)
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="accounts", verbose_name=_("merchant"))
    channel = models.CharField(_("channel"), max_length=32)
    name = models.CharField(_("name"), max_length=64)
    state = FSMField(
        _("state"), choices=MerchantState.choices, default=MerchantState.DRAFT, protected=True, editable=False
    )
    config = EncryptedJSONField(_("channel parameters"), default=dict, editable=False)
    identity = models.CharField(_("identity at the channel"), max_length=128, blank=True, default="", editable=False)
    config_version = models.IntegerField(default=1, editable=False)
    checked_at = models.DateTimeField(_("connection checked"), null=True, editable=False)
    check_ok = models.BooleanField(_("connection works"), null=True, editable=False)
    check_message = models.CharField(_("check result"), max_length=300, blank=True, default="", editable=False)
    certificate_expires_at = models.DateTimeField(_("certificate expires"), null=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    version = models.IntegerField(default=0, editable=False)

    class Meta:
        verbose_name = _("payment account")
        verbose_name_plural = _("payment accounts")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.payment_no})"

    def event_fields(self) -> dict[str, Any]:
        return {"merchant_no": self.merchant.merchant_no, "detail": {"payment_no": self.payment_no}}


class AccountMethod(models.Model):
    """A scene that an account's contract covers."""

    account = models.ForeignKey(PaymentAccount, models.CASCADE, related_name="methods", verbose_name=_("account"))
    method = models.CharField(_("pay method"), max_length=32)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("pay method")
        verbose_name_plural = _("pay methods")
        constraints = [models.UniqueConstraint(fields=["account", "method"], name="accountmethod_unique")]

    def __str__(self) -> str:
        return self.method


class CashierMethod(models.Model):
    """Which methods the cashier shows for an app and a merchant, and in which order."""

    app = models.ForeignKey(App, models.CASCADE, verbose_name=_("app"))
    merchant = models.ForeignKey(Merchant, models.CASCADE, verbose_name=_("merchant"))
    account = models.ForeignKey(PaymentAccount, models.CASCADE, verbose_name=_("account"))
    method = models.CharField(_("pay method"), max_length=32)
    position = models.PositiveIntegerField(_("position"), default=0)
    is_active = models.BooleanField(_("shown"), default=True)

    class Meta:
        verbose_name = _("cashier method")
        verbose_name_plural = _("cashier methods")
        ordering = ["app", "merchant", "position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["app", "merchant", "method"], name="cashiermethod_unique")
        ]

    def __str__(self) -> str:
        return self.method


class Nonce(models.Model):
    """A nonce spent by a validly signed request; forgotten when its timestamp can no longer pass."""

    app = models.ForeignKey(App, models.CASCADE, db_index=False)
    nonce = models.CharField(max_length=64)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "nonce"], name="nonce_unique")]


class Role(models.TextChoices):
    OPERATOR = "operator", _("operator")
    OWNER = "owner", _("merchant owner")
    MERCHANT = "merchant", _("merchant clerk")
    APP = "app", _("business-line staff")
    FINANCE = "finance", _("finance")
    SERVICE = "service", _("customer service")
    AUDITOR = "auditor", _("auditor")


class User(AbstractUser):  # type: ignore[django-manager-missing]  # django_otp's device classes are untyped
    """Staff. Merchant and app staff belong to one merchant or app and see nothing else.

    A session ends when the password, the role, the merchant or app, or `session_epoch` changes.
    """

    role = models.CharField(_("role"), max_length=12, choices=Role, default=Role.AUDITOR)
    merchant = models.ForeignKey(Merchant, models.PROTECT, null=True, blank=True, verbose_name=_("merchant"))
    app = models.ForeignKey(App, models.PROTECT, null=True, blank=True, verbose_name=_("app"))
    session_epoch = models.PositiveIntegerField(default=0, editable=False)

    class Meta(AbstractUser.Meta):
        verbose_name = _("staff member")  # type: ignore[assignment]
        verbose_name_plural = _("staff")  # type: ignore[assignment]
        constraints = [
            models.CheckConstraint(
                name="user_tenant_matches_role",
                condition=(Q(role__in=["merchant", "owner"], merchant__isnull=False, app__isnull=True))
                | (Q(role="app", app__isnull=False, merchant__isnull=True))
                | (~Q(role__in=["merchant", "owner", "app"]) & Q(merchant__isnull=True, app__isnull=True)),
            )
        ]

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Django compares it on every request: what ends all sessions of a person when it changes."""
        parts = (self.password, self.role, self.merchant_id, self.app_id, self.is_superuser, self.session_epoch)
        salt = "merchants.models.User.session"
        return salted_hmac(salt, json.dumps(parts), secret=secret, algorithm="sha256").hexdigest()

    def event_fields(self) -> dict[str, Any]:
        fields = self.merchant.event_fields() if self.merchant else self.app.event_fields() if self.app else {}
        return {**fields, "detail": {"username": self.username}}


class ChangeRequest(ChangeStates, models.Model):
    """A change that opens doors or moves money, waiting for a second person. Exactly one of `account`, `app`,
    `person` and `merchant` is set; `scope` tells which of its records it is about, where it has several of the kind.

    `payload` is what to store once it is confirmed, encrypted; `before` and `after` are what people
    compare, with secrets masked. `base_version` tells whether the record changed in the meantime.
    """

    class Kind(models.TextChoices):
        ACCOUNT_CONFIG = "account_config", _("parameters of a payment account")
        APP_ADDRESSES = "app_addresses", _("callback addresses and source addresses")
        APP_HMAC = "app_hmac", _("new HMAC secret")
        APP_RSA = "app_rsa", _("new RSA public key")
        APP_WEBHOOK = "app_webhook", _("new webhook secret")
        APP_OPENED = "app_opened", _("app taken into use")
        ACCOUNT_OPENED = "account_opened", _("payment account taken into use")
        REFUND_POLICY = "refund_policy", _("refund policy")
        STAFF_JOIN = "staff_join", _("new staff member")
        STAFF_ROLE = "staff_role", _("role of a staff member")
        STAFF_PASSWORD = "staff_password", _("new password link")
        STAFF_FACTOR = "staff_factor", _("reset of two-step verification")
        FEE_RATE = "fee_rate", _("fee rate")
        SETTLEMENT_TERMS = "settlement_terms", _("settlement terms")
        MERCHANT_OPENED = "merchant_opened", _("merchant taken into service")
        ACCOUNT_METHODS = "account_methods", _("pay methods of a payment account")
        ACCOUNT_NAME = "account_name", _("name of a payment account")
        APP_MERCHANTS = "app_merchants", _("merchants an app may collect for")
        CASHIER_METHODS = "cashier_methods", _("methods of a cashier")

    kind = models.CharField(_("change"), max_length=16, choices=Kind)
    account = models.ForeignKey(
        PaymentAccount, models.PROTECT, null=True, related_name="changes", verbose_name=_("payment account")
    )
    app = models.ForeignKey(App, models.PROTECT, null=True, related_name="changes", verbose_name=_("app"))
    person = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="changes", verbose_name=_("staff member")
    )
    merchant = models.ForeignKey(
        Merchant, models.PROTECT, null=True, related_name="changes", verbose_name=_("merchant")
    )
    state = FSMField(
        _("state"), choices=ChangeState.choices, default=ChangeState.PENDING, protected=True, editable=False
    )
    scope = models.CharField(max_length=64, blank=True, default="", editable=False)
    payload = EncryptedJSONField(default=dict, editable=False)
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)
    base_version = models.CharField(max_length=64, blank=True, default="", editable=False)
    reason = models.CharField(_("reason"), max_length=300)
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("requested by"))
    requested_at = models.DateTimeField(_("requested"))
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", verbose_name=_("decided by"))
    decided_at = models.DateTimeField(_("decided"), null=True)
    comment = models.CharField(_("comment"), max_length=300, blank=True, default="")
    version = models.IntegerField(default=0, editable=False)

    class Meta:
        verbose_name = _("change to confirm")
        verbose_name_plural = _("changes to confirm")
        ordering = ["-id"]
        permissions = [("confirm_changerequest", "Can confirm or reject changes")]
        constraints = [
            models.CheckConstraint(
                name="changerequest_one_target",
                condition=Q(account__isnull=False, app__isnull=True, person__isnull=True, merchant__isnull=True)
                | Q(account__isnull=True, app__isnull=False, person__isnull=True, merchant__isnull=True)
                | Q(account__isnull=True, app__isnull=True, person__isnull=False, merchant__isnull=True)
                | Q(account__isnull=True, app__isnull=True, person__isnull=True, merchant__isnull=False),
            ),
            models.CheckConstraint(
                name="changerequest_two_people",
                condition=~Q(state__in=["confirmed", "rejected"])
                | (Q(decided_by__isnull=False) & ~Q(decided_by=models.F("requested_by"))),
            ),
            models.UniqueConstraint(
                fields=["account", "kind", "scope"], condition=Q(state="pending", account__isnull=False),
                name="changerequest_account_pending",
            ),
            models.UniqueConstraint(
                fields=["app", "kind", "scope"], condition=Q(state="pending", app__isnull=False),
                name="changerequest_app_pending",
            ),
            models.UniqueConstraint(
                fields=["person", "kind"], condition=Q(state="pending", person__isnull=False),
                name="changerequest_person_pending",
            ),
            models.UniqueConstraint(
                fields=["merchant", "kind"], condition=Q(state="pending", merchant__isnull=False),
                name="changerequest_merchant_pending",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.target}"

    @property
    def target(self) -> PaymentAccount | App | User | Merchant:
        """What the change is about."""
        found = self.account or self.app or self.person or self.merchant
        if found is None:
            raise ValueError("a change request is about an account, an app, a person or a merchant")
        return found

    def event_fields(self) -> dict[str, Any]:
        fields = self.target.event_fields()
        return {**fields, "detail": {**fields.get("detail", {}), "kind": self.kind, "change": self.pk}}
