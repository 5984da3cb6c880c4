"""How PostgreSQL carried out what a call asked of the tables of tickets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import event

from app.core.database import Database
from tests.factories.database import kept_engine

TABLES = {"ticket", "ticket_action", "ticket_search"}


async def _plans(database: Database, call: Any) -> list[dict[str, Any]]:
    """The plans of the statements over tickets that `call` runs, as they were carried out."""
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append((statement, parameters))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        async with database.transaction() as session:
            await call(session)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    found = []
    async with database.engine.connect() as connection:
        for statement, parameters in seen:
            if any(f"{table} " in statement for table in TABLES) and "ticket_tally" not in statement:
                explained = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
                found.append(explained.scalar_one()[0]["Plan"])
    return found


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


async def check_reads(url: str, call: Any, most: int) -> None:
    """No statement over tickets that `call` runs reads a table as a whole; together they read so many rows at most."""
    database = Database(kept_engine(url))
    found = await _plans(database, call)
    assert found, "nothing was explained"
    read = 0.0
    for node in (node for plan in found for node in _nodes(plan)):
        if node.get("Relation Name") in TABLES:
            assert node["Node Type"] != "Seq Scan", node
            rows = (
                node["Actual Rows"]
                + node.get("Rows Removed by Filter", 0)
                + node.get("Rows Removed by Index Recheck", 0)
            )
            read += rows * node["Actual Loops"]
    assert read <= most, read
    await database.close()
