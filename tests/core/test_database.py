"""The engine keeps what it is given to itself."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.database import Database


async def test_an_error_of_the_database_does_not_repeat_the_values_it_was_given(database: Database) -> None:
    with pytest.raises(SQLAlchemyError) as caught:
        async with database.transaction() as session:
            await session.execute(text("SELECT no_such_column FROM person WHERE oid = :oid"), {"oid": "somebody's own"})
    assert "no_such_column" in str(caught.value)
    assert "somebody's own" not in str(caught.value)
