"""A command works on the tables of its own version only, and says in one sentence when nothing answers."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from app.cli.running import with_resources
from app.core.database_trouble import NoDatabase
from app.core.schema_guard import UnfitDatabase
from app.core.vault import Vault
from app.resources import Resources
from app.settings import Settings
from tests.factories.outages import marked_as, through
from tests.factories.servers import free_port


def settings(database_url: str) -> Settings:
    values: dict[str, Any] = {
        "database_url": database_url,
        "entra_tenant_id": "f9384e25-3bb6-45b6-9bcf-000000000001",
        "entra_client_id": "f9384e25-3bb6-45b6-9bcf-000000000002",
        "entra_client_secret": "a secret",
        "vault_keys": Vault.new_key(),
    }
    return Settings(_env_file=None, **values)


async def name_of(resources: Resources) -> str:
    async with resources.database.transaction() as session:
        return str((await session.execute(text("SHOW application_name"))).scalar_one())


def test_a_command_runs_on_its_own_tables_under_a_name_of_its_own(database_url: str) -> None:
    assert with_resources(settings(database_url), name_of) == "security-center command"


def test_a_command_refuses_the_tables_of_another_version_unless_it_is_made_for_any(database_url: str) -> None:
    with marked_as(database_url, "9999"):
        with pytest.raises(UnfitDatabase, match="newer version"):
            with_resources(settings(database_url), name_of)
        assert with_resources(settings(database_url), name_of, any_schema=True) == "security-center command"


def test_a_command_without_a_database_ends_in_one_sentence() -> None:
    for any_schema in (True, False):
        with pytest.raises(NoDatabase, match=r"Connection refused.*percent-encoded") as ended:
            with_resources(settings(through("postgresql://x/y", free_port())), name_of, any_schema=any_schema)
        assert "\n" not in str(ended.value)


def test_a_mistake_of_ours_is_not_taken_for_an_outage(database_url: str) -> None:
    async def wrong(_resources: Resources) -> None:
        raise LookupError("a bug of ours")

    with pytest.raises(LookupError):
        with_resources(settings(database_url), wrong)
