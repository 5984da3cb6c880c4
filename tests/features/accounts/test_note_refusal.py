"""A known person's refusals are written down, and no script fills the audit log with them."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app.core.clock import SetClock
from app.features.accounts.note_refusal import MOST_PEOPLE, MOST_PER_MINUTE, RefusalBudget, note_refusal
from tests.factories.audit import entries, report_of
from tests.factories.connecting import viewer_of
from tests.factories.system import System


async def refuse(system: System, budget: RefusalBudget, times: int, cause: str = "role.manager_needed") -> None:
    viewer = await viewer_of(system, await system.signed_in("viewer"))
    for _ in range(times):
        await note_refusal(
            system.resources.database, viewer, "role", cause, route="audit.page", method="GET", budget=budget
        )


async def test_many_refusals_of_one_minute_end_in_one_entry_that_says_so(system: System, still_clock: SetClock) -> None:
    budget = RefusalBudget()
    await refuse(system, budget, MOST_PER_MINUTE * 3)
    found = [row.action["message"] for row in await entries(system.resources.database)]
    assert found == ["Refused"] * MOST_PER_MINUTE + ["More was refused"]
    still_clock.move(60)
    await refuse(system, budget, 1)
    rows = await entries(system.resources.database)
    assert (len(rows), rows[-1].facts["what"]) == (MOST_PER_MINUTE + 2, "role")
    assert (await report_of(system.resources.database)).breaks == []


async def test_a_cause_is_cut_and_on_one_line(system: System) -> None:
    await refuse(system, RefusalBudget(), 1, "line\nnext" + "x" * 5000)
    [row] = await entries(system.resources.database)
    assert row.facts["cause"].startswith("line\\u000anext")
    assert len(row.facts["cause"]) == 200


def test_the_memory_of_it_is_bounded(still_clock: SetClock) -> None:
    from uuid import uuid4  # noqa: PLC0415

    budget = RefusalBudget()
    for _ in range(MOST_PEOPLE * 2):
        budget.count(uuid4())
    assert len(budget._minutes) == MOST_PEOPLE


async def test_a_database_in_trouble_does_not_change_the_refusal(system: System) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(text("ALTER TABLE audit_entry RENAME TO audit_entry_away"))
    try:
        with capture_logs() as logged:
            await refuse(system, RefusalBudget(), 1)
    finally:
        async with system.resources.database.transaction() as session:
            await session.execute(text("ALTER TABLE audit_entry_away RENAME TO audit_entry"))
    assert [line["event"] for line in logged if line["event"].startswith("audit.")] == ["audit.refusal_not_written"]


@pytest.fixture(autouse=True)
def _moment(still_clock: SetClock) -> SetClock:
    return still_clock
