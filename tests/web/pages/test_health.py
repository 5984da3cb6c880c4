"""Probes of the web process: what makes it not ready, and what is only said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.bootstrap import reporting_as
from app.core.sealed_columns import context_of
from app.core.vault import Vault
from app.features.connection.models import Connection
from tests.factories.outages import marked_as
from tests.factories.system import System

OLD, NEW = Vault.new_key(), Vault.new_key()


def use(system: System, *keys: str) -> None:
    """The web that is asked has these keys."""
    system.resources = system.app.state.resources = replace(system.resources, vault=Vault(keys))


def reported(system: System, kind: str, *keys: str) -> Any:
    return reporting_as(kind, replace(system.resources, vault=Vault(keys)))


async def ready(probe: httpx.AsyncClient) -> tuple[int, str]:
    """The status, and what is wrong: the reason, or the finding that goes with 200."""
    answer = await probe.get("/health/ready")
    body = answer.json()
    assert body["ready"] == (answer.status_code == 200)
    return answer.status_code, body.get("problem", "") + body.get("finding", "")


@pytest.fixture
async def probe(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with system.client() as client:
        yield client


async def test_keys_that_do_not_fit_are_said_and_take_down_no_web_that_is_alone(
    system: System, probe: httpx.AsyncClient
) -> None:
    use(system, NEW)
    async with reported(system, "web", NEW):
        assert await ready(probe) == (200, "")  # Nothing is stored yet.
        use(system, OLD)
        await system.connect()
        use(system, NEW)
        status, finding = await ready(probe)
        assert status == 200
        assert "VAULT_KEYS of this process do not open the stored tokens" in finding
    assert (await probe.get("/health/live")).status_code == 200
    use(system, OLD)
    assert await ready(probe) == (200, "")


async def test_a_web_without_the_key_is_not_ready_while_another_web_has_it(
    system: System, probe: httpx.AsyncClient
) -> None:
    use(system, OLD)
    await system.connect()
    use(system, NEW)
    async with reported(system, "worker", OLD), reported(system, "web", NEW):
        assert (await ready(probe))[0] == 200  # A worker serves no page.
        async with reported(system, "web", NEW, OLD):
            status, problem = await ready(probe)
            assert status == 503
            assert "add the key that sealed them and restart" in problem


async def test_two_webs_with_half_of_the_keys_each_both_stay(system: System, probe: httpx.AsyncClient) -> None:
    """Each lacks what the other has: if both stepped aside, none would be left."""
    use(system, OLD)
    first = await system.connect()
    use(system, NEW)
    async with system.resources.database.transaction() as session:
        stored = await session.get(Connection, first.id)
        assert stored is not None
        stored.client_secret = system.resources.vault.seal(context_of(stored, Connection.client_secret), "s")
    async with reported(system, "web", OLD), reported(system, "web", NEW):
        for key in (OLD, NEW):
            use(system, key)
            status, finding = await ready(probe)
            assert (status, bool(finding)) == (200, True)


async def test_secrets_that_were_moved_are_said_and_no_other_web_helps(
    system: System, probe: httpx.AsyncClient
) -> None:
    use(system, OLD)
    await system.connect()
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE connection SET origin = 'https://other.service-now.com'"))
    async with reported(system, "web", OLD):
        status, finding = await ready(probe)
    assert status == 200
    assert "belong to another row or address" in finding


async def test_a_database_without_tables_is_never_ready(probe: httpx.AsyncClient, database_url: str) -> None:
    with marked_as(database_url, None):
        status, problem = await ready(probe)
    assert status == 503
    assert "has no tables of this product yet" in problem
