"""Writes of contracts: signing, asking, ending. Intent, call and outcome are committed one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base import ContractMethod, ContractWord, Refused
from channels.base.discovery import methods
from merchants.api.errors import BadParameter, ChannelRefused, ChannelUnknown, ContentDiffers, NotPossible
from merchants.channels import active_account, active_merchant, provider_of
from merchants.models import App, Merchant, PaymentAccount
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import time_limit
from paycenter.numbers import NumberKind, new_number
from paycenter.transitions import record_event
from trades.contracts.calling import call_for_contract, contract_ref, sign_order
from trades.contracts.confirm import contract_advance, contract_confirm, lock_contract
from trades.contracts.models import Contract
from trades.contracts.selectors import contract_data
from trades.contracts.states import ContractState
from trades.querying import query_delay
from trades.sending import instruction_data

# How long a payer may take to sign before the contract is given up.
SIGNING_LIFE = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ContractRequest:
    """What an app asks for, validated. Addresses are empty where the app gave none."""

    merchant_no: str
    app_contract_no: str
    method: str
    payment_no: str | None = None
    payer: Mapping[str, str] = field(default_factory=dict)
    notify_url: str = ""
    return_url: str = ""


def contract_sign(*, app: App, request: ContractRequest) -> Contract:
    """Record a contract and prepare its signing; the same request again gives the same contract.

    Raises BadParameter, NotPermitted, ContentDiffers, ChannelRefused, ChannelUnknown.
    """
    if not isinstance(methods().get(request.method), ContractMethod):
        raise BadParameter({"method": ["it has no contracts"]})
    merchant = active_merchant(app, request.merchant_no)
    account = active_account(merchant, request.method, request.payment_no)
    if not methods()[request.method].accepts(provider_of(account)):
        raise BadParameter({"method": ["the payment account is not set up for it"]})
    contract = _contract_for(app, merchant, account, request)
    if contract.state != ContractState.SIGNING or contract.pay is not None:
        return contract
    return _prepare(contract, f"app:{app.app_id}")


def _contract_for(app: App, merchant: Merchant, account: PaymentAccount, request: ContractRequest) -> Contract:
    """The app's contract of this number, recorded now if it is new. Raises ContentDiffers."""
    key = {"app": app, "merchant": merchant, "app_contract_no": request.app_contract_no}
    content: dict[str, Any] = {
        "account": account, "method": request.method, "notify_url": request.notify_url,
        "return_url": request.return_url, "payer": dict(request.payer) or None,
    }  # fmt: skip
    found = Contract.objects.select_related("app", "merchant", "account").filter(**key).first()
    if found is None:
        try:
            with transaction.atomic():
                return _open(key, content)
        except IntegrityError:  # another first call was faster
            found = Contract.objects.select_related("app", "merchant", "account").get(**key)
    if any(getattr(found, name) != value for name, value in content.items()):
        raise ContentDiffers
    return found


def _open(key: Mapping[str, Any], content: Mapping[str, Any]) -> Contract:
    now, account = timezone.now(), content["account"]
    contract: Contract = Contract.objects.create(
        contract_no=new_number(NumberKind.CONTRACT), channel=account.channel, created_at=now,
        next_query_at=now + query_delay(account.channel, 0), **key, **content,
    )  # fmt: skip
    record_event(
        contract, "contract.created", actor=f"app:{contract.app.app_id}", to_state=str(contract.state), public=True,
        data=contract_data(contract),
    )  # fmt: skip
    return contract


def _prepare(contract: Contract, actor: str) -> Contract:
    order = sign_order(contract)
    try:
        with time_limit(float(settings.GOPAY_TIME_LIMIT)):
            result = call_for_contract(contract, lambda scene, provider: scene.sign(provider, order))
    except (NotSent, UnknownOutcome) as exc:
        raise ChannelUnknown(data=_numbers(contract)) from exc
    with transaction.atomic():
        locked = lock_contract(contract.pk)
        if isinstance(result, Refused):
            _fail_refused(locked, result, actor)
        else:
            locked.pay = instruction_data(result.instruction)
            locked.save(update_fields=["pay"])
    if isinstance(result, Refused):
        raise _refusal(locked, result)
    return locked


def _fail_refused(locked: Contract, refusal: Refused, actor: str) -> None:
    if locked.state != ContractState.SIGNING:
        return
    locked.error_code, locked.error_message = refusal.code[:64], refusal.message[:256]
    contract_advance(locked, "fail", actor=actor, reason=f"{refusal.code} {refusal.message}",
                     fields=("error_code", "error_message"))  # fmt: skip


def contract_query(*, contract: Contract, actor: str) -> Contract:
    """Ask the channel and do what it says. Never raises for a channel's failure: asked again later."""
    ref = contract_ref(contract)
    try:
        with time_limit(float(settings.GOPAY_TIME_LIMIT)):
            word = call_for_contract(contract, lambda scene, provider: scene.query_contract(provider, ref))
    except (NotSent, UnknownOutcome):
        return _ask_later(contract)
    found = contract_confirm(contract_id=contract.pk, word=word, actor=actor)
    unsigned = word.state in (ContractWord.NOT_FOUND, ContractWord.UNSIGNED)
    if unsigned and found.state == ContractState.SIGNING and found.created_at + SIGNING_LIFE <= timezone.now():
        return _expire(found, actor)
    return _ask_later(found)


def _expire(contract: Contract, actor: str) -> Contract:
    """Nobody signed in time, says the channel itself."""
    with transaction.atomic():
        locked = lock_contract(contract.pk)
        if locked.state == ContractState.SIGNING:
            contract_advance(locked, "fail", actor=actor, reason=gettext_noop("it was not signed in time"))
    return locked


def _ask_later(contract: Contract) -> Contract:
    """Put an open question on its schedule; a settled contract is asked about no more."""
    with transaction.atomic():
        locked = lock_contract(contract.pk)
        ending = locked.may_end and locked.terminate_requested_at is not None
        if locked.state == ContractState.SIGNING or ending:
            locked.query_tries += 1
            locked.next_query_at = timezone.now() + query_delay(locked.channel, locked.query_tries)
        else:
            locked.next_query_at = None
        locked.save(update_fields=["query_tries", "next_query_at"])
    return locked


def contract_terminate(*, contract: Contract, actor: str) -> Contract:
    """End a signed contract at its channel and here; one that has ended already is answered as it is.

    Raises NotPossible while it is being signed, ChannelRefused, and ChannelUnknown: then it is tried again
    by the sweep, and nothing is deducted meanwhile.
    """
    with transaction.atomic():
        locked = lock_contract(contract.pk)
        if locked.state == ContractState.SIGNING:
            raise NotPossible
        if not locked.may_end:
            return locked
        now = timezone.now()
        if locked.terminate_requested_at is None:
            record_event(locked, "contract.terminate_requested", actor=actor)
        locked.terminate_requested_at = locked.terminate_requested_at or now
        locked.query_tries = 0
        locked.next_query_at = now + timedelta(seconds=2 * float(settings.GOPAY_TIME_LIMIT))
        locked.save(update_fields=["terminate_requested_at", "next_query_at", "query_tries"])
    return _terminate(locked, actor)


def _terminate(contract: Contract, actor: str) -> Contract:
    ref = contract_ref(contract)
    try:
        with time_limit(float(settings.GOPAY_TIME_LIMIT)):
            word = call_for_contract(contract, lambda scene, provider: scene.terminate_contract(provider, ref))
    except (NotSent, UnknownOutcome) as exc:
        _ask_later(contract)
        raise ChannelUnknown(data=_numbers(contract)) from exc
    if not isinstance(word, Refused):
        return contract_confirm(contract_id=contract.pk, word=word, actor=actor)
    with transaction.atomic():
        locked = lock_contract(contract.pk)
        if locked.may_end:
            locked.terminate_requested_at = locked.next_query_at = None
            locked.save(update_fields=["terminate_requested_at", "next_query_at"])
            record_event(locked, "contract.terminate_refused", actor=actor, reason=f"{word.code} {word.message}")
    raise _refusal(locked, word)


def contract_work(contract_id: int) -> None:
    """What is due for a contract: finish the end that was asked for, or ask whether it is signed."""
    contract = Contract.objects.select_related("app", "merchant", "account").get(pk=contract_id)
    if contract.terminate_requested_at is None or not contract.may_end:
        contract_query(contract=contract, actor="system:query")
        return
    try:
        _terminate(contract, "system:query")
    except (ChannelUnknown, ChannelRefused):
        return  # on its schedule again, or given up with the reason in its events


def _numbers(contract: Contract) -> dict[str, str]:
    return {"contract_no": contract.contract_no, "app_contract_no": contract.app_contract_no}


def _refusal(contract: Contract, refusal: Refused) -> ChannelRefused:
    words = {"channel_code": refusal.code, "channel_msg": refusal.message}
    return ChannelRefused(data={**words, **_numbers(contract)})
