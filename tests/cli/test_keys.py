"""Rotating keys, step by step as an operator does it, and what is refused so that no running process is locked out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import update

from app.bootstrap import reporting_as
from app.cli.keys import bind_secrets, discard_unreadable, rotate
from app.core.sealed_columns import each_sealed
from app.core.vault import Sealed, Vault, fingerprint_of
from app.features.connection.gateway import Lane, call
from app.features.connection.key_rotation import PURPOSES_OF_BEFORE, Rewritten, bind_everything
from app.features.connection.models import Connection
from app.features.connection.token_errors import SecretsMoved
from app.resources import Resources
from app.settings import Settings
from tests.factories.connecting import connections, database_url, opened
from tests.factories.system import System

SOME_ID = "badeb8ad-3543-4fe3-9d3f-1b8f4b7c1a11"
SECRETS = (Connection.client_secret, Connection.access_token, Connection.refresh_token)
OLD, NEW, OTHER = Vault.new_key(), Vault.new_key(), Vault.new_key()


def with_keys(system: System, *keys: str) -> Resources:
    return replace(system.resources, vault=Vault(keys))


@asynccontextmanager
async def running(system: System, *processes: tuple[str, tuple[str, ...]]) -> AsyncIterator[None]:
    """Processes of these kinds run with these keys, until the block ends."""
    async with AsyncExitStack() as stack:
        for kind, keys in processes:
            await stack.enter_async_context(reporting_as(kind, with_keys(system, *keys)))
        yield


async def connected(system: System, *keys: str) -> None:
    system.resources = system.app.state.resources = with_keys(system, *keys)
    await system.connect()


async def keys_of_what_is_stored(system: System) -> set[str]:
    async with system.resources.database.transaction() as session:
        return {sealed.key async for _, sealed in each_sealed(session)}


async def test_the_walk_through_a_rotation(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    await connected(system, OLD)
    rotating = with_keys(system, NEW, OLD)

    async with running(system, ("web", (OLD,)), ("web", (OLD,))):
        assert await rotate(rotating) == 1
        told = capsys.readouterr().err
        assert f"the first of VAULT_KEYS ({fingerprint_of(NEW)}) is not known to" in told
        assert told.count("  web ") == 2
        assert "restart each, and run rotate-keys again" in told
    assert await keys_of_what_is_stored(system) == {fingerprint_of(OLD)}

    async with running(system, ("web", (NEW, OLD)), ("web", (NEW, OLD)), ("worker", (NEW, OLD))):
        assert await rotate(rotating) == 0
        told = capsys.readouterr().out
        assert "3 secrets are sealed with the first key" in told
        assert "The older keys may be removed now" in told
        assert "restart each a second time" in told
    assert await keys_of_what_is_stored(system) == {fingerprint_of(NEW)}

    async with running(system, ("web", (NEW,)), ("worker", (NEW,))):
        assert await call(with_keys(system, NEW), lambda client: client.whoami())
        assert await rotate(with_keys(system, NEW)) == 0
        assert "may be removed" not in capsys.readouterr().out  # There is none to remove.


async def test_one_process_of_many_that_lacks_the_key_is_enough(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    await connected(system, OLD)
    async with running(system, ("web", (NEW, OLD)), ("worker", (OLD,))):
        assert await rotate(with_keys(system, NEW, OLD)) == 1
    told = capsys.readouterr().err
    assert ("  worker " in told, "  web " in told) == (True, False)
    assert await keys_of_what_is_stored(system) == {fingerprint_of(OLD)}


async def test_a_process_that_still_seals_with_the_old_key_keeps_it_needed(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    await connected(system, OLD)
    async with running(system, ("web", (OLD, NEW))):
        assert await rotate(with_keys(system, NEW, OLD)) == 1
    told = capsys.readouterr()
    assert "Keep the older keys" in told.err
    assert "may be removed" not in told.out
    assert await keys_of_what_is_stored(system) == {fingerprint_of(NEW)}  # Both processes open these.


async def test_with_nothing_running_it_rotates_and_says_that_none_was_asked(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    await connected(system, OLD)
    assert await rotate(with_keys(system, NEW, OLD)) == 0
    assert "none could be asked" in capsys.readouterr().out


async def test_what_opens_with_no_key_is_counted(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    await connected(system, OTHER)
    assert await rotate(with_keys(system, NEW, OLD)) == 0
    assert "3 more open with none of VAULT_KEYS" in capsys.readouterr().out


async def test_nothing_is_discarded_while_a_running_process_holds_the_key(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    await connected(system, OLD)
    async with running(system, ("web", (OLD,)), ("worker", (NEW,))):
        assert await discard_unreadable(with_keys(system, NEW)) == 1
        told = capsys.readouterr().err
        assert f"({fingerprint_of(OLD)}) is held by\n  web " in told
    [row] = await connections(system)
    assert row.refresh_token is not None
    assert await discard_unreadable(with_keys(system, OLD)) == 0
    assert "Nothing to forget" in capsys.readouterr().out
    assert await discard_unreadable(with_keys(system, NEW)) == 0
    assert "are forgotten" in capsys.readouterr().out
    [row] = await connections(system)
    assert (row.status, row.refresh_token) == ("needs_attention", None)


async def seal_as_before(system: System, key: str) -> Connection:
    """Every stored secret as earlier versions sealed it: for a purpose, by a Fernet token alone."""
    [row] = await connections(system)
    for column in SECRETS:
        purpose = PURPOSES_OF_BEFORE["connection", column.key]
        content = json.dumps([purpose, opened(system.resources.vault, row, column)]).encode()
        async with system.resources.database.transaction() as session:
            token = Fernet(key).encrypt(content).decode()
            await session.execute(update(Connection).values({column.key: Sealed(token)}))
    return row


async def test_the_upgrade_binds_what_was_sealed_before_and_the_running_product_does_not(system: System) -> None:
    await connected(system, OLD)
    before = await seal_as_before(system, OLD)
    [row] = await connections(system)
    assert row.refresh_token is not None
    assert row.refresh_token.key == ""
    with pytest.raises(SecretsMoved):
        await call(system.resources, lambda client: client.whoami(), lane=Lane.INTERACTIVE)

    assert await bind_everything(system.resources) == Rewritten(3, unopened=0)
    assert await bind_everything(system.resources) == Rewritten(0, unopened=0)  # As after a stop half way.
    [row] = await connections(system)
    for column in SECRETS:
        assert opened(system.resources.vault, row, column) == opened(system.resources.vault, before, column)
    assert await call(system.resources, lambda client: client.whoami(), lane=Lane.INTERACTIVE)


async def test_the_migrate_command_says_how_many_it_bound_and_which_it_could_not(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    await connected(system, OLD)
    await seal_as_before(system, OLD)
    for keys, said in ((OTHER, "3 stored secrets do not open"), (OLD, "3 stored secrets are bound"), (OLD, "")):
        values = {
            "entra_tenant_id": SOME_ID,
            "entra_client_id": SOME_ID,
            "entra_client_secret": "s",
            "vault_keys": keys,
        }
        settings = Settings.model_validate(values)
        await asyncio.to_thread(bind_secrets, settings, database_url(system))
        told = capsys.readouterr()
        assert said in told.out + told.err
        assert said or "secrets" not in told.out + told.err
