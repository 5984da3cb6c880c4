"""Whatever is done to the rows of the audit log is found and named."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from app.core.database import Database
from app.features.accounts.audit_verify import MOST_BREAKS, Break, log_head
from tests.factories.audit import entries, report_of, tamper, write


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (['UPDATE audit_entry SET facts = \'{"number": "7"}\' WHERE id = 3'], [(Break.CHANGED, 3)]),
        (["UPDATE audit_entry SET at = at + interval '1 microsecond' WHERE id = 1"], [(Break.CHANGED, 1)]),
        (['UPDATE audit_entry SET action = \'{"message": "Else", "values": {}}\' WHERE id = 5'], [(Break.CHANGED, 5)]),
        (["UPDATE audit_entry SET person_name = 'Another' WHERE id = 2"], [(Break.CHANGED, 2)]),
        (["UPDATE audit_entry SET person_salt = '', person_name = 'Another' WHERE id = 2"], [(Break.CHANGED, 2)]),
        (["UPDATE audit_entry SET address = '192.0.2.7' WHERE id = 2"], [(Break.CHANGED, 2)]),
        (["UPDATE audit_entry SET hash = repeat('a', 64) WHERE id = 2"], [(Break.CHANGED, 2), (Break.REMOVED, 3)]),
        (["DELETE FROM audit_entry WHERE id = 3"], [(Break.REMOVED, 4)]),
        (["DELETE FROM audit_entry WHERE id IN (2, 3)"], [(Break.REMOVED, 4)]),
        (["DELETE FROM audit_entry WHERE id = 1"], [(Break.REMOVED, 2)]),
        (["DELETE FROM audit_entry WHERE id = 5"], [(Break.CUT_OFF, 4)]),
        (["DELETE FROM audit_entry"], [(Break.CUT_OFF, 0)]),
        (["DELETE FROM audit_checkpoint"], [(Break.NO_CHECKPOINT, 0)]),
        (
            [
                "UPDATE audit_entry SET id = 99 WHERE id = 2",
                "UPDATE audit_entry SET id = 2 WHERE id = 3",
                "UPDATE audit_entry SET id = 3 WHERE id = 99",
            ],
            [(Break.INSERTED, 2), (Break.INSERTED, 3), (Break.INSERTED, 4)],
        ),
        (
            ["UPDATE audit_entry SET id = 6 WHERE id = 1"],
            [(Break.INSERTED, 2), (Break.INSERTED, 6), (Break.CUT_OFF, 6)],
        ),
    ],
)
async def test_what_was_done_is_named_with_the_entrys_number(
    database: Database, statements: list[str], found: list[tuple[Break, int]]
) -> None:
    await write(database, 5)
    assert (await report_of(database)).breaks == []
    await tamper(database, *statements)
    assert [(one.kind, one.number) for one in (await report_of(database)).breaks] == found


async def test_an_inserted_copy_is_found(database: Database) -> None:
    await write(database, 3)
    columns = "at, person_id, person_name, person_email, address, action, facts, request_id"
    columns += ", person_salt, person_hash, previous_hash, hash"
    await tamper(
        database,
        "UPDATE audit_entry SET id = id + 10 WHERE id = 3",
        f"INSERT INTO audit_entry (id, {columns}) SELECT 3, {columns} FROM audit_entry WHERE id = 1",  # noqa: S608 - names of columns.
    )
    assert [(one.kind, one.number) for one in (await report_of(database)).breaks] == [
        (Break.INSERTED, 3),
        (Break.INSERTED, 13),
    ]


async def test_a_chain_that_is_broken_everywhere_gives_a_list_that_can_be_read(database: Database) -> None:
    await write(database, MOST_BREAKS + 20)
    await tamper(database, "UPDATE audit_entry SET facts = '{}'")
    assert len((await report_of(database)).breaks) == MOST_BREAKS


async def test_the_head_is_logged_with_count_and_hash(database: Database) -> None:
    await write(database, 2)
    with capture_logs() as logged:
        async with database.transaction() as session:
            await log_head(session)
    [line] = [line for line in logged if line["event"] == "audit.head"]
    assert (line["entries"], line["hash"]) == (2, (await entries(database))[-1].hash)


def test_each_kind_has_a_sentence() -> None:
    from app.features.accounts.audit_verify import ChainBreak  # noqa: PLC0415

    assert all(str(ChainBreak(kind, 7).sentence) for kind in Break)
