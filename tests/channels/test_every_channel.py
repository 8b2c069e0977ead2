"""Every scene and provider that discovery finds, today's and tomorrow's."""

import pytest

from channels.base.discovery import method_for, methods, provider_code_of, provider_for, providers
from tests.channels.scene_contract import check_provider, check_scene


@pytest.mark.parametrize("code", sorted(methods()))
def test_scene(code):
    check_scene(method_for(code), provider_for(provider_code_of(code)))


@pytest.mark.parametrize("code", sorted(providers()))
def test_provider(code):
    check_provider(provider_for(code))


def test_no_provider_is_without_scenes():
    assert {provider_code_of(code) for code in methods()} == set(providers())
