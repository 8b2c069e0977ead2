"""Keys and certificates as they are typed and uploaded: PEM and DER, old and new wrappings, what is none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from django.core.exceptions import ValidationError

from channels.base import keys
from merchants.forms import clean_public_key
from sandbox import keys as made
from tests.fuzz.target import Target

_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER
_PLAIN = serialization.NoEncryption()


def key_targets() -> Iterator[Target]:
    seeds = _seeds()
    yield Target("public-key", seeds["public"] + seeds["private"][2:3] + seeds["certificate"][:1], _public_key)
    yield Target("private-key", seeds["private"] + seeds["public"][:1] + seeds["pfx"], _private_key)
    yield Target("certificate", seeds["certificate"] + seeds["pfx"], _certificate)


@cache
def _seeds() -> dict[str, tuple[bytes, ...]]:
    root = made.authority(made.x509_name("Root", "Fuzz", "Test"))
    key, curve = made.new_rsa(), ec.generate_private_key(ec.SECP256R1())
    leaf = made.leaf(made.x509_name("Leaf", "Fuzz", "Test"), key, root)
    pkcs8, pkcs1 = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
    info, rsa = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1
    locked = serialization.BestAvailableEncryption(b"1")
    bare = made.public_pem(key).split("-----")[2].encode()
    return {
        "public": (made.public_pem(key).encode(), bare, key.public_key().public_bytes(_DER, info),
                   key.public_key().public_bytes(_PEM, rsa), made.public_pem(curve).encode()),
        "private": (made.private_pem(key).encode(), key.private_bytes(_PEM, pkcs1, _PLAIN),
                    key.private_bytes(_DER, pkcs8, _PLAIN), key.private_bytes(_PEM, pkcs8, locked),
                    made.private_pem(curve).encode()),
        "certificate": (made.certificate_pem(leaf).encode(), leaf.public_bytes(_DER),
                        (made.certificate_pem(leaf) + made.certificate_pem(root.certificate)).encode()),
        "pfx": (pkcs12.serialize_key_and_certificates(b"a", key, leaf, None, locked),),
    }  # fmt: skip


def _taken(parse: Callable[[bytes], object], data: bytes) -> str:
    try:
        parse(data)
    except (keys.KeyProblem, ValidationError) as exc:
        return f"refused {exc}"
    return "taken"


def _public_key(data: bytes) -> str:
    def parse(given: bytes) -> None:
        keys.public_key_pem(keys.parse_public_key(given))
        clean_public_key(given.decode("utf-8", "replace"))

    return _taken(parse, data)


def _certificate(data: bytes) -> str:
    return _taken(lambda given: keys.certificates_pem(keys.parse_certificates(given)), data)


def _private_key(data: bytes) -> str:
    return _taken(lambda given: keys.private_key_pem(keys.parse_private_key(given)), data)
