"""What is wrong with a database or a backup is said, and nothing is said of a whole one."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.migrations import expected_revision
from app.core.vault import Vault
from app.features.keeping.backup import back_up
from app.features.keeping.backup_file import BackupProblem, Manifest, new_backup
from app.features.keeping.verify import compare_counts, verify, verify_file
from app.features.tickets.views.kept_beside import TABLES, right_kept
from app.features.tickets.views.ticket_tally import rebuild_tally
from tests.factories.delivering import write_note
from tests.factories.system import System
from tests.factories.tickets import share_one, shared_ticket


async def _problems(system: System) -> list[str]:
    return [str(problem) async for problem in verify(system.resources)]


async def _run(system: System, *statements: str) -> None:
    async with system.resources.database.transaction() as session:
        for statement in statements:
            await session.execute(text(statement))


@pytest.fixture
async def busy(system: System, stamped_url: str) -> System:
    """With a delivered ticket, a note, one that waits, and secrets."""
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    await write_note(system, ticket_id, "Asked the vendor.")
    await system.work()
    await share_one(system)
    return system


async def test_nothing_is_wrong_with_a_database_in_use(busy: System) -> None:
    assert await _problems(busy) == []


async def test_a_database_of_another_version_is_named(busy: System) -> None:
    await _run(busy, "UPDATE alembic_version SET version_num = '0001'")
    (problem,) = await _problems(busy)
    assert "revision 0001" in problem


async def test_a_secret_that_no_key_opens_is_named(busy: System) -> None:
    busy.resources = replace(busy.resources, vault=Vault([Vault.new_key()]))
    problems = await _problems(busy)
    assert len(problems) == 3
    assert any("connection.refresh_token: VAULT_KEYS do not open 1 values" in problem for problem in problems)


async def test_rows_that_refer_to_none_are_named(busy: System) -> None:
    await _run(
        busy,
        "SET LOCAL session_replication_role = replica",
        "DELETE FROM person",
        "INSERT INTO home_layout (person_id, cards) VALUES (gen_random_uuid(), '[]')",
        "DELETE FROM ticket WHERE delivery = 'queued'",
    )
    problems = await _problems(busy)
    assert "home_layout: 1 rows refer to rows of person that do not exist." in problems
    assert "ticket_event: 1 rows refer to rows of ticket that do not exist." in problems


async def test_a_constraint_that_was_not_checked_is_named(busy: System) -> None:
    await _run(busy, "ALTER TABLE home_layout ADD CONSTRAINT later CHECK (true) NOT VALID")
    try:
        (problem,) = await _problems(busy)
    finally:
        await _run(busy, "ALTER TABLE home_layout DROP CONSTRAINT later")
    assert problem.startswith("home_layout.later is not valid")


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("ticket SET delivery = 'lost' WHERE delivery = 'queued'", "ticket: Its delivery is of no kind"),
        ("ticket SET uncertain_until = now() WHERE delivery = 'shared'", "ticket: It is shared, and still on its way"),
        ("ticket SET shared_at = NULL", "ticket: It is shared, and it is not known since when"),
        ("ticket SET sys_id = NULL", "ticket: It is shared without the id of its record"),
        (
            "ticket SET delivery = 'held', problem = NULL WHERE delivery = 'queued'",
            "ticket: It is held without a reason",
        ),
        ("ticket SET sys_id = 'x' WHERE delivery = 'queued'", "ticket: It has the id of a record, and is not shared"),
        ("ticket SET uncertain_until = now() WHERE delivery = 'queued'", "ticket: It may have arrived, though"),
        ("ticket SET kind = 'problem'", "ticket: It is of a kind that does not exist"),
        ("ticket SET correlation_id = '' WHERE delivery = 'queued'", "ticket: It has no correlation ID"),
        ("ticket SET record = '[]'", "ticket: It has nothing to send"),
        ("ticket SET attempts = -1", "ticket: Its attempts are counted wrongly"),
        ("ticket_note SET in_flight_since = now()", "ticket_note: It is shared, and still on its way"),
    ],
)
async def test_a_ticket_that_cannot_be_is_named(busy: System, broken: str, sentence: str) -> None:
    await _run(busy, f"UPDATE {broken}")
    (problem,) = await _problems(busy)
    assert problem.startswith(sentence)
    assert "Rows: " in problem


async def test_a_tally_that_differs_is_named_and_a_recount_repairs_it(busy: System) -> None:
    await _run(busy, "UPDATE ticket_tally SET n = n + 2 WHERE delivery = 'queued'")
    assert await _problems(busy) == [
        "ticket_tally says 3 and there are 1: change, queued, state – (–), shown by ServiceNow. Pages show the wrong "
        "number: run python -m app recount."
    ]
    async with busy.resources.database.transaction() as session:
        assert len(await rebuild_tally(session)) == 1
    assert await _problems(busy) == []


async def test_a_whole_backup_is_read_and_compared(busy: System, stamped_url: str, tmp_path: Path) -> None:
    back_up(stamped_url, tmp_path / "backup")
    assert list(verify_file(tmp_path / "backup")) == []
    await _run(busy, "DELETE FROM ticket WHERE delivery = 'queued'")
    async with busy.resources.database.transaction() as session:
        problems = [str(problem) for problem in await compare_counts(session, tmp_path / "backup")]
    assert "ticket holds 1 rows, and the backup 2." in problems


async def test_a_harmed_backup_is_refused(busy: System, stamped_url: str, tmp_path: Path) -> None:
    back_up(stamped_url, tmp_path / "backup")
    content = bytearray((tmp_path / "backup").read_bytes())
    with zipfile.ZipFile(tmp_path / "backup") as archive:
        ticket = archive.getinfo("tables/ticket.txt")
    content[ticket.header_offset + 200] ^= 255
    (tmp_path / "backup").write_bytes(content)
    with pytest.raises(BackupProblem, match="damaged"):
        list(verify_file(tmp_path / "backup"))


def test_a_backup_without_a_table_is_named(tmp_path: Path) -> None:
    with new_backup(tmp_path / "backup") as writer:
        writer.add("person", ("id",), [])
        writer.finish(Manifest(expected_revision() or "", "", "", tuple(writer.tables), {}))
    problems = [str(problem) for problem in verify_file(tmp_path / "backup")]
    assert "The backup does not hold table ticket." in problems
    assert not any("web_session" in problem or "person" in problem for problem in problems)


@pytest.mark.parametrize(
    ("broken", "table", "count"),
    [
        ("UPDATE ticket_search SET search_text = 'old'", "ticket_search", 2),
        ("DELETE FROM ticket_search WHERE ticket_id IN (SELECT id FROM ticket LIMIT 1)", "ticket_search", 1),
        ("UPDATE ticket_search SET created_at = created_at - interval '1 day'", "ticket_search", 2),
        ("INSERT INTO ticket_action SELECT id, 'c', 'New', 1, 2, now(), NULL FROM ticket LIMIT 1", "ticket_search", 1),
        ("UPDATE ticket SET delivery = 'shared' WHERE delivery = 'queued'", "ticket_action", 1),
    ],
)
async def test_what_lists_read_is_compared_and_a_recount_repairs_it(
    busy: System, broken: str, table: str, count: int
) -> None:
    await _run(busy, "INSERT INTO ticket_action (ticket_id, control_id, title) SELECT id, 'mfa', 'MFA ẞ' FROM ticket")
    assert await _problems(busy) == []
    await _run(busy, "SET LOCAL session_replication_role = replica", broken)
    said = f"{table} does not say what its tickets say. Rows: {count}, for example of ticket "
    assert len([problem for problem in await _problems(busy) if problem.startswith(said)]) == 1
    righted = {}
    for one in TABLES:
        async with busy.resources.database.transaction() as session:
            righted[one] = await right_kept(session, one)
    assert righted[table] == count  # type: ignore[index]
    assert not any("what its tickets say" in problem for problem in await _problems(busy))
