"""Settings for tests: what is required, and the product's settings read from an environment that holds nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.vault import Vault
from app.settings import Settings

SOME_ID = "aaaaaaaa-0000-4a6e-9c3e-5d1f0a00ffff"
REQUIRED = {
    "ENTRA_TENANT_ID": SOME_ID, "ENTRA_CLIENT_ID": SOME_ID, "ENTRA_CLIENT_SECRET": "s", "VAULT_KEYS": Vault.new_key(),
}  # fmt: skip


def read_from(monkeypatch: pytest.MonkeyPatch, **given: str) -> Settings:
    """The settings as a process reads them whose environment holds what is required, and `given`."""
    for name, value in (REQUIRED | given).items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


def some_settings(**given: Any) -> Settings:
    """Settings with what is required and `given`, by the names of fields."""
    return Settings(_env_file=None, **({name.lower(): value for name, value in REQUIRED.items()} | given))
