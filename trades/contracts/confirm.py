"""The one path on which a channel's word changes a contract. Notification, query and termination end here."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base import ContractAnswer, ContractWord
from notifications.alerts import alert
from notifications.services import notification_create
from paycenter.transitions import advance
from trades.contracts.models import Contract
from trades.contracts.selectors import contract_data
from trades.contracts.states import ContractState

_EVENT = {"activate": "contract.signed", "terminate": "contract.terminated", "fail": "contract.failed"}
# The contract names no message for a signature that never came; apps see it in the query and in events.
_TOLD = frozenset({"activate", "terminate"})


def lock_contract(contract_id: int) -> Contract:
    """Lock a contract with what its events need. Must run inside `atomic`."""
    related = ("app", "merchant", "account")
    return Contract.objects.select_for_update(of=("self",)).select_related(*related).get(pk=contract_id)


@transaction.atomic
def contract_confirm(*, contract_id: int, word: ContractAnswer, actor: str) -> Contract:
    """Do what the channel says of a contract. Idempotent; what decides nothing changes nothing.

    Must not be called with unverified words. A number other than the known one is refused, and a person told.
    """
    contract = lock_contract(contract_id)
    if _contradicts(contract, word):
        _alert_contradiction(contract, word)
        return contract
    contract.channel_state = word.channel_state[:64]
    if word.state == ContractWord.ACTIVE and contract.state in (ContractState.SIGNING, ContractState.FAILED):
        contract.channel_contract_no = word.channel_contract_no
        contract.payer_id = word.payer_id
        contract.signed_at = word.signed_at or timezone.now()
        contract_advance(contract, "activate", actor=actor, fields=("channel_contract_no", "payer_id", "signed_at"))
    elif word.state == ContractWord.TERMINATED and contract.state in (ContractState.SIGNING, ContractState.ACTIVE):
        contract.ended_at = timezone.now()
        contract_advance(contract, "terminate", actor=actor, fields=("ended_at",))
    return contract


def contract_advance(
    contract: Contract, transition: str, *, actor: str, reason: str = "", fields: tuple[str, ...] = ()
) -> None:
    """Run a transition on a locked contract; nothing is due afterwards. Writes the public event and, where
    apps are told, the notification."""
    contract.next_query_at = None
    event = advance(
        contract, transition, actor=actor, reason=reason, fields=(*fields, "channel_state", "next_query_at"),
        event=_EVENT[transition], public=True, data_of=contract_data,
    )  # fmt: skip
    if transition in _TOLD:
        notification_create(
            app=contract.app, type=_EVENT[transition], data=event.data or {},
            url=contract.notify_url or contract.app.notify_url, now=timezone.now(),
        )  # fmt: skip


def _contradicts(contract: Contract, word: ContractAnswer) -> bool:
    known, said = contract.channel_contract_no, word.channel_contract_no
    if word.state == ContractWord.ACTIVE and not said:
        return True
    if said is None or known == said:
        return False
    taken = Contract.objects.filter(account_id=contract.account_id, channel_contract_no=said)
    return known is not None or taken.exclude(pk=contract.pk).exists()


def _alert_contradiction(contract: Contract, word: ContractAnswer) -> None:
    alert(
        kind="anomaly", key=f"contract:{contract.contract_no}", severity="critical",
        title=gettext_noop("A channel contradicts what is known of a contract"),
        text=gettext_noop("Contract %(contract_no)s: the channel now names %(word)s."),
        context={"contract_no": contract.contract_no, "word": word.channel_contract_no or "-"},
        merchant_no=contract.merchant.merchant_no, record=contract,
    )  # fmt: skip
