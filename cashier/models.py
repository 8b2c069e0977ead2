"""Cashier orders and printed QR codes."""

from __future__ import annotations

import secrets

from django.db import models
from django.utils.translation import gettext_lazy as _

from merchants.models import App, Merchant
from trades.models import Trade


def new_token() -> str:
    """256 random bits, URL-safe: whoever knows it may look at the order and pay it."""
    return secrets.token_urlsafe(32)


def new_code() -> str:
    """96 random bits for a QR code that a camera reads quickly."""
    return secrets.token_urlsafe(12)


class CashierOrder(models.Model):
    """The hosted page of one trade: `/c/<token>`, and its aggregated QR code `/q/<code>`."""

    trade = models.OneToOneField(Trade, models.PROTECT, related_name="cashier_order", verbose_name=_("trade"))
    token = models.CharField(_("token"), max_length=64, unique=True, default=new_token)
    code = models.CharField(_("QR code"), max_length=32, unique=True, default=new_code)
    display = models.JSONField(_("detail rows"), default=list)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("cashier order")
        verbose_name_plural = _("cashier orders")

    def __str__(self) -> str:
        return str(self.trade_id)


class PrintedCode(models.Model):
    """A QR code on paper for one merchant and app; the payer enters the amount unless it is fixed."""

    code = models.CharField(_("QR code"), max_length=32, unique=True, default=new_code, editable=False)
    app = models.ForeignKey(App, models.PROTECT, verbose_name=_("app"))
    merchant = models.ForeignKey(Merchant, models.PROTECT, verbose_name=_("merchant"))
    title = models.CharField(_("title"), max_length=64, help_text=_("What is paid for, shown to the payer."))
    fixed_amount = models.BigIntegerField(
        _("fixed amount (minor units)"), null=True, blank=True, help_text=_("Empty: the payer enters the amount.")
    )
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("printed code")
        verbose_name_plural = _("printed codes")
        constraints = [
            models.CheckConstraint(
                name="printedcode_amount_positive",
                condition=models.Q(fixed_amount__isnull=True) | models.Q(fixed_amount__gt=0),
            )
        ]

    def __str__(self) -> str:
        return self.title
