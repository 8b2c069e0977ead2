"""The connection check of the account form, and what it says when something is wrong."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from channels.base import FieldKind, keys
from paycenter.errors import PaycenterError
from tests.channels.scene_contract import check_label
from tests.contract.cases import contracts
from tests.contract.desk import HTTP, Desk
from tests.contract.secrets import secrets_of
from tests.contract.test_faults import nobody_there


@cache
def some_other_key() -> str:
    return keys.private_key_pem(rsa.generate_private_key(65537, 2048))


def with_wrong_secrets(desk: Desk) -> dict[str, Any]:
    """Every secret replaced by one of the same form."""
    config = dict(desk.config)
    for field in desk.case.provider.fields:
        if field.name not in config:
            continue
        if field.kind is FieldKind.PRIVATE_KEY:
            config[field.name] = some_other_key()
        elif field.kind is FieldKind.SECRET:
            config[field.name] = "".join("1" if c != "1" else "2" for c in config[field.name])
    assert config != desk.config, "something has to be secret between a merchant and its channel"
    return config


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_a_right_contract_is_confirmed(desk: Desk) -> None:
    found = desk.provider.check()

    assert found.ok, found.message.en
    check_label(found.message)


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_wrong_keys_are_found_and_not_repeated(desk: Desk) -> None:
    config = with_wrong_secrets(desk)

    found = desk.case.provider(config, http=HTTP).check()

    assert not found.ok
    check_label(found.message)
    said = f"{found.message.zh} {found.message.en} {dict(found.detail)}"
    for secret in {*secrets_of(desk.case.provider, config), *secrets_of(desk.case.provider, desk.config)}:
        assert secret not in said


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_a_channel_that_is_not_there(desk: Desk) -> None:
    found = desk.case.provider(nobody_there(desk.case, desk.config), http=HTTP).check()

    assert not found.ok
    check_label(found.message)


@pytest.mark.parametrize("fault", ["reset", "http500", "garbage"])
@pytest.mark.parametrize("case", contracts(), ids=str)
def test_a_channel_that_talks_nonsense_is_not_confirmed(desk: Desk, fault: str) -> None:
    for operation in ("query", "pay", "close"):
        desk.fault(operation, fault)
    try:
        found = desk.provider.check()
    except PaycenterError:
        return  # the core words it
    assert found.ok is (desk.end_faults() == 0), "it says no, unless it asked for something else"
