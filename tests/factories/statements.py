"""How many statements something costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from app.core.database import Database
from app.core.shared_question import KeyedQuery


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements sent within the block, the shared question's as well; many rows in one statement count once."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    shared = database.shared_question
    send = shared._send

    async def send_noted(cursor: Any, query: KeyedQuery[Any], keys: list[str]) -> Any:
        seen.append(query.statement)
        return await send(cursor, query, keys)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    shared._send = send_noted  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)
        shared._send = send  # type: ignore[method-assign]
