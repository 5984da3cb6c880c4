"""The drill: a backup while tickets are shared and delivered, a restore beside it, new keys, and delivery goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.core.vault import Vault
from app.features.connection.key_rotation import reseal_everything
from app.features.keeping.backup import back_up
from app.features.keeping.backup_file import open_backup
from app.features.keeping.restore import restore
from app.features.keeping.verify import compare_counts, verify
from app.features.tickets.sharing.share import ShareCommand, share_many
from app.features.tickets.types import TicketKind
from tests.factories.delivering import run_sweep, work_notes, write_note
from tests.factories.keeping import system_over
from tests.factories.system import PUBLIC_URL, System
from tests.factories.tickets import SENDER, an_ask, records, run_due_and_waiting, shared_ticket, told

pytestmark = [pytest.mark.thorough, pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")]
KINDS = (TicketKind.INCIDENT, TicketKind.CHANGE)
TABLES = ("incident", "change_request")
ROUNDS, EACH = 12, 10


async def _share(system: System, number: int) -> None:
    commands = [
        ShareCommand(an_ask(KINDS[part % 2], name=f"Task {number}.{part}"), [], str(uuid4()), batch_id=uuid4())
        for part in range(EACH)
    ]
    async with system.resources.database.transaction() as session:
        await share_many(session, system.resources.queue, commands, SENDER, public_url=PUBLIC_URL)


async def _tickets(system: System) -> dict[str, tuple[str, str | None, str]]:
    async with system.resources.database.transaction() as session:
        rows = await session.execute(text("SELECT correlation_id, delivery, sys_id, number FROM ticket"))
        return {row.correlation_id: (row.delivery, row.sys_id, row.number) for row in rows}


def _made(system: System) -> Counter[str]:
    return Counter(record["correlation_id"] for table in TABLES for record in records(system, table))


@pytest.mark.parametrize("chosen_sys_id", ["kept", "ignored"])
async def test_nothing_is_lost_and_nothing_is_sent_twice(
    system: System, stamped_url: str, empty_database: str, tmp_path: Path, chosen_sys_id: str
) -> None:
    system.servicenow.instance.switches.chosen_sys_id = chosen_sys_id
    old_key, new_key = Vault.new_key(), Vault.new_key()
    _use_keys(system, old_key)
    await system.connect()
    noted, _ = await shared_ticket(system)
    await write_note(system, noted, "Asked the vendor.")

    async def deliver() -> None:
        for _ in range(ROUNDS):
            await system.work()
            await asyncio.sleep(0)

    async def share() -> None:
        for number in range(ROUNDS):
            await _share(system, number)
            await asyncio.sleep(0.05)

    async def save() -> None:
        # Under load: after some were shared, while others are on their way.
        await asyncio.sleep(0.4)
        await asyncio.to_thread(back_up, stamped_url, tmp_path / "backup")

    await asyncio.gather(share(), deliver(), save())
    # The old system goes on after the backup, and is lost then.
    await system.work()
    before = await _tickets(system)
    assert {delivery for delivery, _, _ in before.values()} == {"shared"}
    with open_backup(tmp_path / "backup") as backup:
        saved = {table.name: table.rows for table in backup.manifest.tables}
    assert 1 < saved["ticket"] <= len(before)

    await asyncio.to_thread(restore, empty_database, tmp_path / "backup")
    async with system_over(empty_database, system) as restored:
        async with restored.resources.database.transaction() as session:
            assert await compare_counts(session, tmp_path / "backup") == []
        assert [str(problem) async for problem in verify(restored.resources)] == []
        _use_keys(restored, new_key, old_key)
        assert (await reseal_everything(restored.resources)).count > 0
        _use_keys(restored, new_key)
        await _let_it_finish(restored)
        after = await _tickets(restored)
        assert len(after) == saved["ticket"]
        assert {name: before[name] for name in after} == after
        assert [str(problem) async for problem in verify(restored.resources)] == []
        sys_id = after[next(iter(after))][1]
        assert f"{sys_id}" in await told(restored, f"/tickets/{await _id_of(restored, next(iter(after)))}")
        # It goes on: a new ticket is delivered as well.
        await shared_ticket(restored)
    made = _made(system)
    assert made.most_common(1)[0][1] == 1
    assert set(made) > set(before)
    assert len(work_notes(system)) == 1


async def test_all_that_was_sent_after_the_backup_is_found_again(
    system: System, stamped_url: str, empty_database: str, tmp_path: Path
) -> None:
    """The worst moment: nothing of it was sent when the backup was made, and all of it afterwards."""
    await system.connect()
    await _share(system, 0)
    back_up(stamped_url, tmp_path / "backup")
    await system.work()
    before = await _tickets(system)
    assert (await asyncio.to_thread(restore, empty_database, tmp_path / "backup")).unsettled == EACH
    async with system_over(empty_database, system) as restored:
        await run_due_and_waiting(restored, rounds=2)
        assert await _tickets(restored) == before
    assert _made(system) == Counter(dict.fromkeys(before, 1))


def _use_keys(system: System, *keys: str) -> None:
    system.resources = replace(system.resources, vault=Vault(keys))
    system.app.state.resources = system.resources


async def _let_it_finish(system: System) -> None:
    for _ in range(3):
        await run_due_and_waiting(system)
        async with system.resources.database.transaction() as session:
            for table in ("ticket", "ticket_note"):  # The time in which a send of the lost system may arrive is over.
                await session.execute(
                    text(f"UPDATE {table} SET uncertain_until = now() WHERE uncertain_until IS NOT NULL")  # noqa: S608
                )
        await run_sweep(system)


async def _id_of(system: System, correlation_id: str) -> str:
    async with system.resources.database.transaction() as session:
        found = await session.execute(
            text("SELECT id FROM ticket WHERE correlation_id = :one"), {"one": correlation_id}
        )
        return str(found.scalar_one())
