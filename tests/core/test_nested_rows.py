"""Rows as one column of another statement's row."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, Table, Text, select

from app.core.database import Session
from app.core.nested_rows import nested

TABLES = MetaData()
OWNER = Table("nested_owner", TABLES, Column("id", Integer, primary_key=True))
PART = Table("nested_part", TABLES, Column("owner_id", Integer), Column("name", Text), Column("place", Integer))


async def test_each_row_has_the_rows_that_belong_to_it_in_their_order(db: Session) -> None:
    await db.run_sync(lambda session: TABLES.create_all(session.connection()))
    await db.execute(OWNER.insert(), [{"id": 1}, {"id": 2}])
    names = [(1, "b", 2), (1, 'quoted "', 1), (1, "c", 3)]
    await db.execute(PART.insert(), [{"owner_id": one, "name": name, "place": place} for one, name, place in names])
    parts = select(PART.c.name, PART.c.place).where(PART.c.owner_id == OWNER.c.id).order_by(PART.c.place).limit(2)
    rows = (await db.execute(select(OWNER.c.id, nested(parts)).order_by(OWNER.c.id))).all()
    assert [tuple(row) for row in rows] == [
        (1, [{"name": 'quoted "', "place": 1}, {"name": "b", "place": 2}]),
        (2, []),
    ]
    await db.run_sync(lambda session: TABLES.drop_all(session.connection()))
