"""Every scene that discovery finds, with each kind of contract its stand-in signs and each currency it charges."""

from __future__ import annotations

from dataclasses import dataclass

from channels.base import ContractMethod, Method, Provider
from channels.base.discovery import method_for, methods, methods_of, provider_code_of, provider_for, providers
from sandbox.channel import channel_classes

NO_STAND_IN = "none"


@dataclass(frozen=True, slots=True)
class Case:
    """One scene under one kind of contract, in one currency."""

    method: str
    mode: str
    currency: str

    @property
    def scene(self) -> Method:
        return method_for(self.method)

    @property
    def channel(self) -> str:
        return provider_code_of(self.method)

    @property
    def provider(self) -> type[Provider]:
        return provider_for(self.channel)

    def __str__(self) -> str:
        return f"{self.method}-{self.mode}-{self.currency}"


def modes_of(channel: str) -> tuple[str, ...]:
    """The kinds of contract; a channel without a stand-in has one case all the same, which fails."""
    stand_in = channel_classes().get(channel)
    return stand_in.modes if stand_in is not None else (NO_STAND_IN,)


def payable() -> list[str]:
    """Codes of the scenes with a payer; a deduction needs a contract first, see `test_deducting`."""
    return [code for code, scene in sorted(methods().items()) if not isinstance(scene, ContractMethod)]


def deductions() -> list[Case]:
    """Each scene that deducts under a contract, with each kind of the merchant's own contract."""
    codes = [code for code, scene in sorted(methods().items()) if isinstance(scene, ContractMethod)]
    return [_first(code, mode) for code in codes for mode in modes_of(provider_code_of(code))]


def every_case() -> list[Case]:
    """Each scene, kind of contract and currency."""
    return [
        Case(code, mode, currency)
        for code in payable()
        for mode in modes_of(provider_code_of(code))
        for currency in sorted(method_for(code).currencies)
    ]


def scenes() -> list[Case]:
    """Each scene once: the first kind of contract, the first currency."""
    return [_first(code, modes_of(provider_code_of(code))[0]) for code in payable()]


def contracts() -> list[Case]:
    """Each kind of contract once, with its channel's first scene."""
    return [
        _first(methods_of(channel)[0].code, mode) for channel in sorted(providers()) for mode in modes_of(channel)
    ]


def channels() -> list[Case]:
    """Each channel once."""
    return [_first(methods_of(channel)[0].code, modes_of(channel)[0]) for channel in sorted(providers())]


def each_once() -> list[Case]:
    """Every scene and every kind of contract at least once."""
    return list(dict.fromkeys([*scenes(), *contracts()]))


def _first(code: str, mode: str) -> Case:
    return Case(code, mode, min(method_for(code).currencies, key=lambda c: (c != "CNY", c)))
