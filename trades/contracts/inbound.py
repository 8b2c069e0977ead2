"""Channels' notifications about contracts. The address selects the keys and nothing else."""

from __future__ import annotations

import structlog
from django.db import transaction
from django.utils import timezone

from channels.base import ContractAnswer, InboundRequest, Notice, NoticeKind, Provider, Reply
from channels.base.storable import storable
from merchants.channels import provider_of
from notifications.alerts import alert
from paycenter.errors import IdentityMismatch, InboundRefused, MalformedInbound
from paycenter.wakeup import wake
from trades.contracts.calling import contract_scene
from trades.contracts.confirm import contract_confirm
from trades.contracts.models import Contract
from trades.contracts.states import ContractState
from trades.inbound import refusal_title, refusal_word

log = structlog.get_logger(__name__)
QUERY_TASK = "trades.tasks.query_contracts"


def contract_for_address(method: str, contract_no: str) -> Contract | None:
    """The contract an address names; None when there is none with this method."""
    related = ("app", "merchant", "account")
    return Contract.objects.select_related(*related).filter(contract_no=contract_no, method=method).first()


def contract_notify_receive(*, contract: Contract, request: InboundRequest) -> Reply:
    """Handle one notification for a contract's address; the reply is what this channel expects."""
    provider = provider_of(contract.account)
    try:
        word = _parsed(contract, provider, request)
        if word.contract_no != contract.contract_no:
            raise IdentityMismatch("it names another contract than its address")
    except InboundRefused as exc:
        _refuse(contract, exc)
        return provider.nack(refusal_word(exc))
    if word.state is None:
        query_now(contract)
    else:
        contract_confirm(contract_id=contract.pk, word=word, actor=f"channel:{contract.channel}")
    return provider.ack(Notice(kind=NoticeKind.IGNORED, order_no=contract.contract_no))


def query_now(contract: Contract) -> None:
    """Make a query due at once for a contract whose signing or end is open."""
    open_states = (ContractState.SIGNING, ContractState.ACTIVE)
    if Contract.objects.filter(pk=contract.pk, state__in=open_states).update(next_query_at=timezone.now()):
        transaction.on_commit(lambda: wake(QUERY_TASK))


def _parsed(contract: Contract, provider: Provider, request: InboundRequest) -> ContractAnswer:
    """Foreign bytes that trip a provider's parser are not understood; they are no fault of ours to show."""
    try:
        return storable(contract_scene(contract.method).parse_contract_notify(provider, request))
    except InboundRefused:
        raise
    except Exception as exc:
        log.exception("a provider's parser failed", channel=provider.code)
        raise MalformedInbound(f"the parser failed: {type(exc).__name__}") from exc


def _refuse(contract: Contract, exc: InboundRefused) -> None:
    alert(
        kind="security", key=f"inbound:{type(exc).__name__}:{contract.contract_no}",
        severity="warning" if isinstance(exc, MalformedInbound) else "critical", title=refusal_title(exc),
        text="%(contract_no)s (%(method)s): %(word)s",
        context={"contract_no": contract.contract_no, "method": contract.method, "word": exc},
        merchant_no=contract.merchant.merchant_no, record=contract,
    )  # fmt: skip
