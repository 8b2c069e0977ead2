"""Which outbound addresses we connect to. Every address a customer gives passes through here.

A host name is resolved once, every answer is checked, and the connection is made to the checked
addresses only, so that a name cannot be re-bound between check and use.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from paycenter.errors import EgressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Ranges that `ipaddress` counts as global, or did in some versions, but that lead back inside:
# carrier-grade NAT, NAT64 (well-known and local-use), 6to4, Teredo, IPv4-compatible.
_EXTRA_REFUSED = tuple(
    ipaddress.ip_network(n)
    for n in (
        "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "::/96",
        "64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16", "fec0::/10",
    )
)  # fmt: skip


def _is_public(address: Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return False
    refused = (
        not address.is_global
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    return not refused and not any(
        address in net for net in _EXTRA_REFUSED if net.version == address.version
    )


@dataclass(frozen=True)
class EgressPolicy:
    """`allowed` networks are reachable although not public (development, the test sandbox)."""

    allowed: tuple[str, ...] = ()

    @cached_property
    def _networks(self) -> tuple[Network, ...]:
        return tuple(ipaddress.ip_network(n) for n in self.allowed)

    def permits(self, address: str) -> bool:
        """Whether we may connect to this literal IP address."""
        try:
            parsed = ipaddress.ip_address(address.split("%", 1)[0])
        except ValueError:
            return False
        if any(parsed in net for net in self._networks if net.version == parsed.version):
            return True
        return _is_public(parsed)

    def check_url(self, url: str) -> None:
        """Refuse what can be refused without resolving: scheme, missing host, literal addresses.

        Raises EgressRefused. A host name passes here and is checked when it is resolved.
        """
        reason = _refusal(self, url)
        if reason:
            raise EgressRefused(reason)


@lru_cache(maxsize=1024)
def _refusal(policy: EgressPolicy, url: str) -> str:
    """Why an address is refused as it is written, "" where it is not. Nothing is resolved: it never changes."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "not a usable address"
    if parts.scheme not in ("http", "https") or not host:
        return "only http and https addresses are called"
    if parts.username is not None or parts.password is not None:
        return "an address must not carry a user name or password"
    if _is_literal(host) and not policy.permits(host):
        return "the address is not public"
    return ""


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        return False
    return True


class GuardedResolver(AbstractResolver):
    """aiohttp resolver that hands out permitted addresses only; one refused answer refuses all."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        answers = await self._inner.resolve(host, port, family)
        self._check(host, (answer["host"] for answer in answers))
        return answers

    def _check(self, host: str, addresses: Iterable[Any]) -> None:
        for address in addresses:
            if not self._policy.permits(str(address)):
                raise EgressRefused(f"{host} resolves to an address that is not public")

    async def close(self) -> None:
        await self._inner.close()
