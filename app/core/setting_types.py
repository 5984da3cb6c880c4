"""The types that settings are declared with: each applies its rule of setting_rules. Names no setting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_settings import NoDecode

from app.core import setting_rules

Rule = Callable[[str], str]


def _listed(rule: Rule) -> AfterValidator:
    return AfterValidator(partial(setting_rules.each, rule))


def _keys(values: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not values:
        raise ValueError("needs at least one key; `python -m app generate-key` prints a fresh one")
    kept = setting_rules.each(setting_rules.vault_key, [value.get_secret_value() for value in values])
    return tuple(SecretStr(value) for value in kept)


# NoDecode: entries are separated by commas, where pydantic-settings would read JSON.
Words = Annotated[tuple[str, ...], NoDecode]
Origin = Annotated[str, AfterValidator(setting_rules.origin)]
Origins = Annotated[tuple[str, ...], NoDecode, _listed(setting_rules.origin)]
Networks = Annotated[tuple[str, ...], NoDecode, _listed(setting_rules.network)]
Hosts = Annotated[tuple[str, ...], NoDecode, _listed(setting_rules.listening_host)]
Roles = Annotated[tuple[str, ...], NoDecode, _listed(setting_rules.role)]
Keys = Annotated[tuple[SecretStr, ...], NoDecode, AfterValidator(_keys)]
DatabaseAddress = Annotated[
    SecretStr, AfterValidator(lambda value: SecretStr(setting_rules.database_address(value.get_secret_value())))
]
HeaderToken = Annotated[
    SecretStr, AfterValidator(lambda value: SecretStr(setting_rules.header_token(value.get_secret_value())))
]


def guid(where: str) -> AfterValidator:
    """For an ID that is found at `where`; says so to a person who gave something else."""
    return AfterValidator(partial(setting_rules.guid, where=where))
