"""The client's address: the right-most forwarded hop that is not one of our proxies."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory

from paycenter.middleware import client_ip, in_networks

PROXIES = ["10.0.0.0/8", "2001:db8:1::/48"]


def address(settings: Any, peer: str, forwarded: str | None = None, proxies: list[str] = PROXIES) -> str:
    settings.TRUSTED_PROXIES = proxies
    meta = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        meta["HTTP_X_FORWARDED_FOR"] = forwarded
    return client_ip(RequestFactory().get("/", **meta))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        # A stranger may write what he likes into the header.
        ("203.0.113.9", "10.0.0.1", "203.0.113.9"),
        ("203.0.113.9", "127.0.0.1, 10.0.0.1", "203.0.113.9"),
        # Our proxy appended the peer it saw: the right-most is true, what stands left of it is a claim.
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "127.0.0.1, 10.9.9.9, 203.0.113.9", "203.0.113.9"),
        # Two of our proxies in a row.
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.3, 10.0.0.2", "203.0.113.9"),
        # Only proxies: the left-most of them called.
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", " , ,", "10.0.0.1"),
        # IPv6, and IPv4 written as IPv6.
        ("2001:db8:1::5", "2001:db8:2::9", "2001:db8:2::9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        # Some proxies name the port too, or a zone.
        ("10.0.0.1", "203.0.113.9:51234", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8:2::9]:51234", "2001:db8:2::9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9:1, 10.0.0.2:2", "203.0.113.9"),
        ("10.0.0.1", "fe80::1%eth0", "fe80::1"),
        # Nonsense ends the walk: it is nobody's address, hence no proxy of ours, and no database refuses it.
        ("10.0.0.1", "203.0.113.9, unknown", "0.0.0.0"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.300", "0.0.0.0"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.0/8", "0.0.0.0"),
        ("10.0.0.1", "10.0.0.1\x00", "0.0.0.0"),
        ("unix:", None, "0.0.0.0"),
    ],
)
def test_the_right_most_hop_that_is_not_ours(settings: Any, peer: str, forwarded: str | None, expected: str) -> None:
    assert address(settings, peer, forwarded) == expected


def test_without_proxies_the_header_means_nothing(settings: Any) -> None:
    assert address(settings, "127.0.0.1", "203.0.113.9", proxies=[]) == "127.0.0.1"


@pytest.mark.parametrize("header", ["HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_CLIENT_IP", "HTTP_TRUE_CLIENT_IP"])
def test_other_headers_are_never_believed(settings: Any, header: str) -> None:
    settings.TRUSTED_PROXIES = PROXIES
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", **{header: "for=203.0.113.9"})
    assert client_ip(request) == "10.0.0.1"


@pytest.mark.parametrize("text", ["unknown", "", "10.0.0.300", "10.0.0.1:443", "[::1]", "10.0.0.1 "])
def test_what_is_no_address_is_in_no_network(text: str) -> None:
    assert not in_networks(text, ["0.0.0.0/0", "::/0"])
