"""The contract's row."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField

from merchants.models import App, Merchant, PaymentAccount
from paycenter.crypto import EncryptedJSONField
from trades.contracts.states import ContractState, ContractStates


class Contract(ContractStates, models.Model):
    """A payer's consent to deductions, at one payment account. Committed before the channel is called.

    `pay` is where the payer signs. `next_query_at` is when the channel is asked next, NULL when nothing is
    open; `terminate_requested_at` is set while an end that was asked for is not confirmed.
    """

    contract_no = models.CharField(_("contract number"), max_length=32, unique=True)
    app = models.ForeignKey(App, models.PROTECT, verbose_name=_("app"))
    merchant = models.ForeignKey(Merchant, models.PROTECT, verbose_name=_("merchant"))
    account = models.ForeignKey(PaymentAccount, models.PROTECT, verbose_name=_("payment account"))
    channel = models.CharField(_("channel"), max_length=32)
    method = models.CharField(_("pay method"), max_length=32)
    app_contract_no = models.CharField(_("app contract number"), max_length=64)
    channel_contract_no = models.CharField(_("channel's number"), max_length=64, null=True)
    payer = EncryptedJSONField(null=True, editable=False)
    payer_id = EncryptedJSONField(null=True, editable=False)
    state = FSMField(
        _("state"), choices=ContractState.choices, default=ContractState.SIGNING, protected=True, editable=False
    )
    channel_state = models.CharField(_("channel's word"), max_length=64, blank=True, default="")
    error_code = models.CharField(_("channel's code"), max_length=64, blank=True, default="")
    error_message = models.CharField(_("channel's message"), max_length=256, blank=True, default="")
    notify_url = models.CharField(_("notification address"), max_length=512, blank=True, default="")
    return_url = models.CharField(_("return address"), max_length=512, blank=True, default="")
    pay = models.JSONField(_("signing instruction"), null=True)
    created_at = models.DateTimeField(_("created"))
    signed_at = models.DateTimeField(_("signed at"), null=True)
    terminate_requested_at = models.DateTimeField(_("end asked for"), null=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)
    next_query_at = models.DateTimeField(_("next query"), null=True)
    query_tries = models.PositiveIntegerField(_("queries"), default=0)
    version = models.IntegerField(_("version"), default=1)

    class Meta:
        verbose_name = _("contract")
        verbose_name_plural = _("contracts")
        constraints = [
            models.UniqueConstraint(fields=["app", "merchant", "app_contract_no"], name="contract_app_no_unique"),
            models.UniqueConstraint(
                fields=["account", "channel_contract_no"], condition=Q(channel_contract_no__isnull=False),
                name="contract_channel_no_unique",
            ),
            models.CheckConstraint(
                name="contract_active_has_number", condition=~Q(state="active") | Q(channel_contract_no__isnull=False)
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(
                fields=["next_query_at"], condition=Q(next_query_at__isnull=False), name="contract_query_due"
            ),
            models.Index(fields=["merchant", "-id"], name="contract_merchant"),
            models.Index(fields=["state", "-id"], name="contract_state"),
        ]

    def __str__(self) -> str:
        return self.contract_no

    @property
    def may_deduct(self) -> bool:
        return bool(self.state == ContractState.ACTIVE and self.terminate_requested_at is None)

    @property
    def may_end(self) -> bool:
        return bool(self.state == ContractState.ACTIVE)

    def event_fields(self) -> dict[str, Any]:
        return {"app_id": self.app.app_id, "merchant_no": self.merchant.merchant_no}
