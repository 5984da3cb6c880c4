"""The place of each sealed value: computed from its row, and walked over all tables. Knows no feature and no key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from sqlalchemy import Column, Table, Uuid, and_, inspect, select, update
from sqlalchemy.orm import InstrumentedAttribute

from app.core.database import Base, Session
from app.core.vault import Context, Sealed, SealedText


def context_of(row: Base, column: InstrumentedAttribute[Any]) -> Context:
    """The place of one sealed value, for the vault: `context_of(connection, Connection.refresh_token)`.

    Table, column, primary key, and what the column's SealedText names in `bound_to`; set those before sealing. A new row
    gets its UUID here. Raises ValueError while one of them is not set, TypeError for another table's column.
    """
    if not isinstance(row, column.parent.class_):
        raise TypeError(f"{column} is no column of {type(row).__name__}")
    mapper = inspect(type(row))
    for part in mapper.primary_key:
        name = mapper.get_property_by_column(part).key
        if getattr(row, name) is None and isinstance(part.type, Uuid):
            setattr(row, name, uuid4())
    table = mapper.local_table
    values = {part.name: getattr(row, mapper.get_property_by_column(part).key) for part in table.columns}
    return _context(table.columns[mapper.columns[column.key].name], values)


async def rewrite_sealed(session: Session, rewrite: Callable[[Context, Sealed], Sealed | None]) -> int:
    """Replace every sealed value of every table for which `rewrite` gives another one; how many those were.

    Columns are found by their type, so that none can be forgotten. Rows are locked until the transaction ends.
    """
    count = 0
    for table, columns in sealed_tables():
        # Locked: a token that is renewed meanwhile must not be overwritten with the one before.
        found = (await session.execute(select(table).with_for_update())).mappings().all()
        for row in found:
            rewritten = {
                column.name: new
                for column in columns
                if (old := row[column]) is not None and (new := rewrite(_context(column, _named(table, row)), old))
            }
            if rewritten:
                this_row = and_(*(part == row[part] for part in table.primary_key.columns))
                await session.execute(update(table).where(this_row).values(rewritten))
            count += len(rewritten)
    return count


async def each_sealed(session: Session) -> AsyncIterator[tuple[Context, Sealed]]:
    """Every sealed value of every table, with its place."""
    for table, columns in sealed_tables():
        for row in (await session.execute(select(table))).mappings():
            for column in columns:
                if row[column] is not None:
                    yield _context(column, _named(table, row)), row[column]


def sealed_tables() -> Iterator[tuple[Table, list[Column[Any]]]]:
    """Each table with sealed columns, and those columns. Tables exist once their modules are imported."""
    for table in Base.metadata.sorted_tables:
        columns = [column for column in table.columns if isinstance(column.type, SealedText)]
        if columns:
            yield table, columns


def _named(table: Table, row: Mapping[Any, Any]) -> dict[str, Any]:
    return {column.name: row[column] for column in table.columns}


def _context(column: Column[Any], values: Mapping[str, Any]) -> Context:
    table, kind = column.table, column.type
    if not isinstance(kind, SealedText):
        raise TypeError(f"{column} is no sealed column")
    keys = [values[part.name] for part in table.primary_key.columns]
    bound = [values[name] for name in kind.bound_to]
    if None in keys or None in bound:
        raise ValueError(
            f"{column} is sealed for a row: set its primary key and {kind.bound_to or 'nothing else'} first"
        )
    return Context(table.name, column.name, " ".join(map(str, keys)), tuple(map(str, bound)))
