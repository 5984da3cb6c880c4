"""An administrator's decisions for new tickets are stored and read back; what is not decided is as usual."""

from __future__ import annotations

from dataclasses import replace

from app.features.connection.preferences import (
    REOPEN,
    USUAL_DUE_DAYS,
    USUAL_PRIORITIES,
    Preferences,
    keep_preferences,
    load_preferences,
)
from tests.factories.system import System

WANTED = Preferences(
    kind="incident",
    priorities={"high": 1, "moderate": 2, "low": 5},
    due_days={1: 1, 2: 2, 3: 3, 4: 4, 5: 5},
    category="Data",
    group_id="0" * 32,
    group_name="Security",
    columns={"incident": {"name": "u_name"}},
    after_done=REOPEN,
)


async def test_what_is_kept_is_read_back_and_replaced(system: System) -> None:
    connection = await system.connect()
    for wanted in (WANTED, replace(WANTED, kind="change", columns={}, after_done="new")):
        async with system.resources.database.transaction() as session:
            await keep_preferences(session, connection.id, wanted)
        async with system.resources.database.transaction() as session:
            assert await load_preferences(session, connection.id) == wanted


async def test_without_a_row_or_a_connection_the_usual_ones_hold(system: System) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        for found in (await load_preferences(session, connection.id), await load_preferences(session, None)):
            assert found == Preferences(kind="", priorities=USUAL_PRIORITIES, due_days=USUAL_DUE_DAYS)
