"""Talking to a channel about a contract: outside any transaction, recorded, with typed values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog
from django.conf import settings

from channels.base import ContractMethod, ContractRef, Provider, SignOrder
from channels.base.discovery import method_for
from channels.base.reading import Unreadable
from channels.base.storable import storable
from merchants.channels import provider_of
from paycenter import exchange
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import recording
from trades.calling import refuse_in_transaction, release_connection
from trades.contracts.models import Contract

T = TypeVar("T")
log = structlog.get_logger(__name__)


def contract_scene(code: str) -> ContractMethod:
    """The scene that deducts; KeyError for a code without contracts."""
    scene = method_for(code)
    if not isinstance(scene, ContractMethod):
        raise KeyError(code)
    return scene


def contract_ref(contract: Contract) -> ContractRef:
    """The contract as its channel knows it."""
    return ContractRef(contract_no=contract.contract_no, channel_contract_no=contract.channel_contract_no)


def sign_order(contract: Contract) -> SignOrder:
    """The contract about to be signed."""
    path = f"{contract.method}/contract/{contract.contract_no}"
    return SignOrder(
        contract_no=contract.contract_no, notify_url=f"{settings.PUBLIC_BASE_URL}/notify/{path}",
        return_url=contract.return_url or f"{settings.PUBLIC_BASE_URL}/return/{path}",
        display_name=contract.app_contract_no,
    )  # fmt: skip


def call_for_contract(contract: Contract, work: Callable[[ContractMethod, Provider], T]) -> T:
    """Run `work` with the contract's scene and provider and log every exchange.

    Raises NotSent or UnknownOutcome; a defect in a provider counts as the latter.
    """
    refuse_in_transaction()
    provider, scene = provider_of(contract.account), contract_scene(contract.method)
    release_connection()
    with recording() as calls, structlog.contextvars.bound_contextvars(contract_no=contract.contract_no):
        try:
            return storable(work(scene, provider))
        except (NotSent, UnknownOutcome):
            raise
        except Unreadable as exc:
            raise UnknownOutcome(f"an answer that cannot be kept: {exc}") from exc
        except Exception as exc:
            log.exception("provider defect", contract_no=contract.contract_no, channel=contract.channel)
            raise UnknownOutcome(f"the provider failed: {type(exc).__name__}") from exc
        finally:
            exchange.record_channel_calls(
                calls, channel=contract.channel, app_order_no=contract.contract_no,
                merchant_no=contract.merchant.merchant_no, masked_keys=provider.masked_keys,
            )  # fmt: skip
