"""Finds providers and scenes by folder. There is no list to keep: the file is the registration."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType, ModuleType
from typing import TypeVar

import channels
from channels.base.methods import Method
from channels.base.provider import Provider
from paycenter.errors import ConfigError

_CODE = re.compile(r"[a-z0-9_]{3,32}")
_T = TypeVar("_T")


def _provider_packages() -> Iterator[ModuleType]:
    for info in pkgutil.iter_modules(channels.__path__, "channels."):
        if info.ispkg and info.name != "channels.base":
            yield importlib.import_module(info.name)


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not info.ispkg:
            yield importlib.import_module(info.name)


def _own_classes(module: ModuleType, base: type[_T]) -> Iterator[type[_T]]:
    for value in vars(module).values():
        if (
            inspect.isclass(value)
            and issubclass(value, base)
            and value.__module__ == module.__name__
            and not inspect.isabstract(value)
            and "code" in vars(value)
        ):
            yield value


@cache
def _registry() -> tuple[Mapping[str, type[Provider]], Mapping[str, Method], Mapping[str, str]]:
    providers: dict[str, type[Provider]] = {}
    methods: dict[str, Method] = {}
    owners: dict[str, str] = {}
    for package in _provider_packages():
        found = [c for m in _modules(package) for c in _own_classes(m, Provider)]  # type: ignore[type-abstract]
        if len(found) != 1:
            raise ConfigError(f"{package.__name__} must define exactly one Provider, not {len(found)}")
        provider = found[0]
        _claim(provider.code, providers, package)
        providers[provider.code] = provider
        for module in _modules(package):
            for cls in _own_classes(module, Method):  # type: ignore[type-abstract]
                _claim(cls.code, methods, module)
                methods[cls.code] = cls()
                owners[cls.code] = provider.code
    return MappingProxyType(providers), MappingProxyType(methods), MappingProxyType(owners)


def _claim(code: str, taken: Mapping[str, object], where: ModuleType) -> None:
    if not _CODE.fullmatch(code):
        raise ConfigError(f"{where.__name__}: code {code!r} is not [a-z0-9_]{{3,32}}")
    if code in taken:
        raise ConfigError(f"{where.__name__}: code {code!r} is taken already")


def providers() -> Mapping[str, type[Provider]]:
    """Provider classes by code. Raises ConfigError where a code is used twice."""
    return _registry()[0]


def methods() -> Mapping[str, Method]:
    """Scenes of all providers by code."""
    return _registry()[1]


def provider_for(code: str) -> type[Provider]:
    """The provider class of a code; KeyError if no folder defines it."""
    return providers()[code]


def method_for(code: str) -> Method:
    """The scene of a code; KeyError if no file defines it."""
    return methods()[code]


def provider_code_of(method_code: str) -> str:
    """Code of the provider that owns a scene; KeyError if no file defines it."""
    return _registry()[2][method_code]


def methods_of(provider_code: str) -> tuple[Method, ...]:
    """A provider's scenes, in order of their codes."""
    return tuple(m for c, m in sorted(methods().items()) if provider_code_of(c) == provider_code)
