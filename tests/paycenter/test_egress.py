"""No packet leaves for an inside address, however it is spelled or resolved."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiohttp.abc import ResolveResult

from paycenter.egress import EgressPolicy, GuardedResolver
from paycenter.errors import EgressRefused, NotSent
from paycenter.http import HttpClient, TimeLimits
from tests.paycenter.raw_server import RawServer, reply

PUBLIC = ["8.8.8.8", "203.0.114.1", "101.226.212.27", "2400:3200::1", "2606:4700:4700::1111"]
INSIDE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1",
    "198.18.0.1", "198.51.100.7", "203.0.113.7", "192.88.99.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:a00:1", "::127.0.0.1", "::808:808",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::a00:1", "2002:7f00:1::1",
    "2001:0:7f00:1::", "2001:db8::1", "100::1", "ff02::1", "ff0e::1",
]  # fmt: skip


class TestPolicy:
    @pytest.mark.parametrize("address", PUBLIC)
    def test_public_addresses(self, address: str) -> None:
        assert EgressPolicy().permits(address)

    @pytest.mark.parametrize("address", INSIDE)
    def test_inside_addresses(self, address: str) -> None:
        assert not EgressPolicy().permits(address)

    @pytest.mark.parametrize("address", ["", "localhost", "127.1", "0x7f.1", "8.8.8", "1.2.3.4.5", "::g"])
    def test_what_is_no_address(self, address: str) -> None:
        assert not EgressPolicy().permits(address)

    def test_allowed_networks_open_exactly_themselves(self) -> None:
        policy = EgressPolicy(("127.0.0.0/8", "fd00::/16"))
        assert policy.permits("127.0.0.1")
        assert policy.permits("fd00::1")
        assert policy.permits("8.8.8.8")
        for address in ("10.0.0.1", "::1", "169.254.169.254", "fd01::1", "::ffff:127.0.0.1"):
            assert not policy.permits(address)

    @pytest.mark.parametrize("host", [a if ":" not in a else f"[{a.split('%')[0]}]" for a in INSIDE])
    def test_literal_addresses_are_refused_before_anything_is_resolved(self, host: str) -> None:
        with pytest.raises(EgressRefused):
            EgressPolicy().check_url(f"https://{host}/x")

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/", "example.com",
            "http://", "http:///path", "https://user@example.com/", "https://user:pw@example.com/",
            "https://example.com:99999/", "http://[::1/", "http://[fe80::1%25eth0]/", "javascript:alert(1)", "",
        ],
    )  # fmt: skip
    def test_addresses_that_are_never_called(self, url: str) -> None:
        with pytest.raises(EgressRefused):
            EgressPolicy().check_url(url)

    @pytest.mark.parametrize("url", ["https://example.com/a?b=c", "http://8.8.8.8:8080/", "HTTPS://EXAMPLE.COM"])
    def test_addresses_that_pass(self, url: str) -> None:
        EgressPolicy().check_url(url)


def answers(*addresses: str) -> list[ResolveResult]:
    return [
        ResolveResult(
            hostname="x", host=a, port=80, proto=0, flags=0,
            family=socket.AF_INET6 if ":" in a else socket.AF_INET,
        )
        for a in addresses
    ]  # fmt: skip


class TestResolver:
    def resolve(self, *addresses: str, policy: EgressPolicy | None = None) -> list[ResolveResult]:
        async def work() -> list[ResolveResult]:
            resolver = GuardedResolver(policy or EgressPolicy())

            async def inner(*_arguments: Any) -> list[ResolveResult]:
                return answers(*addresses)

            resolver._inner.resolve = inner  # type: ignore[method-assign]
            return await resolver.resolve("name.example", 80)

        return asyncio.run(work())

    def test_public_answers_pass(self) -> None:
        assert [a["host"] for a in self.resolve("8.8.8.8", "2400:3200::1")] == ["8.8.8.8", "2400:3200::1"]

    @pytest.mark.parametrize("address", INSIDE)
    def test_a_name_for_an_inside_address(self, address: str) -> None:
        with pytest.raises(EgressRefused, match=r"name\.example"):
            self.resolve(address)

    def test_one_inside_answer_among_public_ones_refuses_all(self) -> None:
        with pytest.raises(EgressRefused):
            self.resolve("8.8.8.8", "10.0.0.1", "2400:3200::1")

    def test_allowed_networks_apply_to_answers(self) -> None:
        assert self.resolve("127.0.0.1", policy=EgressPolicy(("127.0.0.0/8",)))


class Names:
    """Stands in for the system's resolver: a name may change its address between two calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: list[str] = []
        self.asked = 0
        real = socket.getaddrinfo

        def lookup(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
            if host != "app.example":
                return real(host, port, *rest, **more)
            self.asked += 1
            address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            where = (address, port, 0, 0) if ":" in address else (address, port)
            return [(family, socket.SOCK_STREAM, 6, "", where)]

        monkeypatch.setattr(socket, "getaddrinfo", lookup)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


LIMITS = TimeLimits(1, 2)


class TestNoPacket:
    """With a real server listening on loopback: it must not even see a connection."""

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001",
            "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "localhost", "LOCALHOST",
            "localhost.", "0.0.0.0", "0", "[::]", "１２７.0.0.1", "①②⑦.0.0.1", "127。0。0。1",
        ],
    )  # fmt: skip
    def test_loopback_in_disguise(self, raw_server: RawServer, host: str) -> None:
        with pytest.raises(NotSent):
            HttpClient().request("GET", f"http://{host}:{raw_server.port}/", limits=LIMITS)
        assert raw_server.connections == 0

    def test_a_name_that_leads_inside(self, raw_server: RawServer, names: Names) -> None:
        names.addresses = ["127.0.0.1"]
        with pytest.raises(NotSent, match="not public"):
            HttpClient().request("POST", f"http://app.example:{raw_server.port}/", body=b"x", limits=LIMITS)
        assert names.asked == 1
        assert raw_server.connections == 0

    def test_a_name_that_is_rebound_between_two_calls(self, raw_server: RawServer, names: Names) -> None:
        client = HttpClient(EgressPolicy(("127.0.0.1/32",)))
        raw_server.answer = reply(b"first", close=True)
        names.addresses = ["127.0.0.1", "127.0.0.2"]
        url = f"http://app.example:{raw_server.port}/"
        assert client.request("GET", url, limits=LIMITS).body == b"first"
        with pytest.raises(NotSent, match="not public"):
            client.request("GET", url, limits=LIMITS)
        assert (names.asked, raw_server.connections) == (2, 1)

    def test_a_name_is_looked_up_once_for_a_connection(self, raw_server: RawServer, names: Names) -> None:
        client = HttpClient(EgressPolicy(("127.0.0.1/32",)))
        names.addresses = ["127.0.0.1", "10.0.0.1"]
        assert client.request("GET", f"http://app.example:{raw_server.port}/", limits=LIMITS).status == 200
        assert names.asked == 1

    def test_a_redirect_inside_is_not_followed(self, raw_server: RawServer) -> None:
        client = HttpClient(EgressPolicy(("127.0.0.1/32",)))
        raw_server.answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/\r\nContent-Length: 0\r\n\r\n"
        found = client.request("GET", raw_server.url, limits=LIMITS)
        assert (found.status, found.headers["location"]) == (302, "http://127.0.0.2/")
        assert raw_server.connections == 1

    def test_proxies_of_the_environment_are_not_used(
        self, raw_server: RawServer, names: Names, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, raw_server.url)
        names.addresses = ["127.0.0.2"]
        with pytest.raises(NotSent):
            HttpClient(EgressPolicy(("127.0.0.2/32",))).request("GET", "http://app.example:1/", limits=LIMITS)
        assert raw_server.connections == 0
