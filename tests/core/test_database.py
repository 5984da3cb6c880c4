"""The engine keeps what it is given to itself."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core import clock
from app.core.database import Database
from app.features.secure_score.models import ImportRun


async def test_an_error_of_the_database_does_not_repeat_the_values_it_was_given(database: Database) -> None:
    with pytest.raises(SQLAlchemyError) as caught:
        async with database.transaction() as session:
            await session.execute(text("SELECT no_such_column FROM person WHERE oid = :oid"), {"oid": "somebody's own"})
    assert "no_such_column" in str(caught.value)
    assert "somebody's own" not in str(caught.value)


async def test_a_missing_value_is_stored_as_null_in_a_json_column(database: Database) -> None:
    async with database.transaction() as session:
        session.add(
            ImportRun(tenant_id="a tenant", source="graph", status="failed", asked_at=clock.now(), problem=None)
        )
    async with database.transaction() as session:
        assert (await session.execute(text("SELECT problem IS NULL FROM import_run"))).scalar_one() is True
