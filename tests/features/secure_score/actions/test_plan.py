"""Which decisions are accepted."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, date, datetime
from uuid import uuid4

import pytest

from app.core.clock import SetClock
from app.core.database import Database
from app.core.errors import InvalidInput, NotFound
from app.features.accounts.audit import list_entries
from app.features.secure_score.actions.action_details import load_notes
from app.features.secure_score.actions.action_status import Status
from app.features.secure_score.actions.plan import (
    LONGEST_TAG,
    MOST_TAGS,
    PlanChange,
    add_note,
    decide,
    parse_tags,
    remove_note,
    set_tags,
)
from tests.factories.graph_payloads import TENANT, days_before, keep, profile, score, snapshot
from tests.factories.secure_score import a_manager


@pytest.mark.fact("microsoft-graph edge-44")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        (PlanChange(Status.PLANNED, None, ""), "planned_for"),
        (PlanChange(Status.PLANNED, days_before(30).replace(year=2020), ""), "planned_for"),
        (PlanChange(Status.COMPLETED, None, ""), "status"),
        (PlanChange(Status.OTHER, None, ""), "status"),
    ],
)
async def test_a_decision_must_make_sense(database: Database, change: PlanChange, field: str) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A")])])
    by = await a_manager(database)
    async with database.transaction() as session:
        with pytest.raises(InvalidInput) as refused:
            await decide(session, TENANT, "A", change, by=by, write_back=False)
    assert field in refused.value.fields


@pytest.mark.fact("microsoft-graph edge-44")
@pytest.mark.parametrize(("day", "passed"), [(20, False), (19, True)])
async def test_what_is_still_today_west_of_greenwich_can_be_planned(
    database: Database, still_clock: SetClock, day: int, passed: bool
) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A")])])
    by = await a_manager(database)
    evening = datetime(2026, 11, 21, 2, tzinfo=UTC)  # Still the 20th, 18:00, in Seattle.
    still_clock.move((evening - still_clock.now()).total_seconds())
    change = PlanChange(Status.PLANNED, date(2026, 11, day), "")
    async with database.transaction() as session:
        with pytest.raises(InvalidInput) if passed else nullcontext():
            await decide(session, TENANT, "A", change, by=by, write_back=False)


@pytest.mark.parametrize(
    ("typed", "tags"),
    [
        ("", []),
        (" , ,\n", []),
        ("Quick  win,mail\nspring", ["Quick win", "mail", "spring"]),
        ("Mail, mail, MAIL", ["Mail"]),
        ("x" * LONGEST_TAG, ["x" * LONGEST_TAG]),
    ],
)
def test_tags_are_separated_by_commas_or_lines_and_each_counts_once(typed: str, tags: list[str]) -> None:
    assert parse_tags(typed) == tags


@pytest.mark.parametrize("typed", ["x" * (LONGEST_TAG + 1), ",".join(f"t{number}" for number in range(MOST_TAGS + 1))])
def test_too_long_and_too_many_tags_are_refused(typed: str) -> None:
    with pytest.raises(InvalidInput):
        parse_tags(typed)


async def test_what_people_change_is_in_the_audit_log_with_its_facts(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A")])], profiles=[profile("A")])
    by = await a_manager(database)
    async with database.transaction() as session:
        await decide(session, TENANT, "A", PlanChange(Status.RISK_ACCEPTED, None, "Old"), by=by, write_back=False)
        await add_note(session, TENANT, "A", "Seen", author=by)
        await set_tags(session, TENANT, "A", "", by=by)
        await session.flush()
        [note] = await load_notes(session, TENANT, "A")
        await remove_note(session, TENANT, "A", note.id, author=by)
    # Entries are written when their transaction commits.
    async with database.transaction() as session:
        entries = await list_entries(session)
    assert [(str(line.action), line.facts) for line in reversed(entries.lines)] == [
        ("Status set", {"action": "A", "status": "Risk accepted"}),
        ("Note written", {"action": "A"}),
        ("Tags set", {"action": "A", "tags": "none"}),
        ("Note removed", {"action": "A", "note": str(note.id)}),
    ]


async def test_what_is_refused_is_not_in_the_audit_log(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A")])])
    by = await a_manager(database)
    async with database.transaction() as session:
        with pytest.raises(InvalidInput):
            await decide(session, TENANT, "A", PlanChange(Status.COMPLETED, None, ""), by=by, write_back=False)
        with pytest.raises(InvalidInput):
            await add_note(session, TENANT, "A", " ", author=by)
        with pytest.raises(NotFound):
            await remove_note(session, TENANT, "A", uuid4(), author=by)
        with pytest.raises(InvalidInput):
            await set_tags(session, TENANT, "A", "x" * (LONGEST_TAG + 1), by=by)
    async with database.transaction() as session:
        assert (await list_entries(session)).count == 0
