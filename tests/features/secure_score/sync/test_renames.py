"""A control that Microsoft gives a new id stays one action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.database import Database, Session
from app.features.secure_score.actions.action_details import load_history, load_notes
from app.features.secure_score.actions.action_status import Status
from app.features.secure_score.actions.plan import PlanChange, add_note, decide, set_tags
from app.features.secure_score.sync.renames import (
    Candidate,
    Rename,
    certain,
    current_id,
    find_renames,
    pairs_of,
    under_new_ids,
)
from app.features.tickets.renamed_actions import follow_renames
from tests.factories.graph_payloads import DAY, TENANT, days_before, keep, profile, score, snapshot
from tests.factories.secure_score import a_manager, lines_of

OLD, NEW = "MDA_Google_Mfa", "11770.MDA_Google_Mfa"


def candidate(old: str = OLD, new: str = NEW, **changes: Any) -> Candidate:
    return Candidate(Rename(old, new, DAY), **{"points": (5, 5), "titles": ("Use MFA", "Use MFA")} | changes)


def test_the_same_control_with_and_without_a_number_is_one() -> None:
    assert [one.new_id for one in certain([candidate()])] == [NEW]
    assert certain([candidate(NEW, OLD)])
    assert certain([candidate(titles=("", "Use MFA"))])


@pytest.mark.fact("microsoft-graph edge-26")
@pytest.mark.parametrize(
    "candidates",
    [
        [candidate(), candidate(new="11771.MDA_Google_Mfa")],
        [candidate(), candidate(old="7.MDA_Google_Mfa")],
        [candidate(old="11771.MDA_Google_Mfa")],
        [candidate(points=(5, 4))],
        [candidate(points=(None, None))],
        [candidate(titles=("Use MFA", "Use another MFA"))],
    ],
    ids=["two new ones", "two old ones", "two instances", "other points", "unknown points", "other titles"],
)  # fmt: skip
def test_what_is_ambiguous_stays_two_actions(candidates: list[Candidate]) -> None:
    assert certain(candidates) == []


async def test_the_action_goes_on_with_its_plan_notes_tags_and_history(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Sequence[tuple[str, str]]] = []

    async def follow(_session: Session, renames: Sequence[tuple[str, str]]) -> None:
        told.append(renames)

    monkeypatch.setattr("app.features.secure_score.sync.renames.FOLLOWERS", [follow])
    alex = await a_manager(database)
    older = [
        snapshot(days_before(ago), [score(OLD, points, points * 10), score("B")]) for ago, points in ((3, 4), (2, 5))
    ]
    await keep(database, snapshots=older, profiles=[profile(OLD, title="Use MFA"), profile("B")])
    async with database.transaction() as session:
        await decide(session, TENANT, OLD, PlanChange(Status.RISK_ACCEPTED, None, "later"), by=alex, write_back=False)
        await add_note(session, TENANT, OLD, "Ask Kim", author=alex)
        await set_tags(session, TENANT, OLD, "cloud", by=alex)
    newest = snapshot(days_before(1), [score(NEW, 5, 50), score("B")])
    await keep(database, snapshots=[newest], profiles=[profile(NEW, title="Use MFA"), profile("B")])
    # The days before are read again at every import, and hold the old id for ever.
    await keep(database, snapshots=[*older, snapshot(DAY, [score(NEW, 5, 50), score("B")], maxScore=200)])
    older[0]["activeUserCount"] = 9
    await keep(database, snapshots=older)
    assert told == [[(OLD, NEW)]], "once"
    lines = await lines_of(database)
    assert set(lines) == {NEW, "B"}
    assert (lines[NEW].status, lines[NEW].tags, lines[NEW].notes) == (Status.RISK_ACCEPTED, ("cloud",), 1)
    assert not lines[NEW].is_new
    async with database.transaction() as session:
        assert [event.kind for event in (await load_history(session, TENANT, NEW)).events] == ["decided", "gained"]
        assert [note.text for note in await load_notes(session, TENANT, NEW)] == ["Ask Kim"]
        assert await current_id(session, TENANT, OLD) == NEW
        assert await current_id(session, TENANT, "B") == "B"


async def test_an_id_that_returns_is_its_own_action_again(database: Database) -> None:
    days = [
        snapshot(days_before(2), [score(OLD, 5, 50)]),
        snapshot(days_before(1), [score(NEW, 5, 50)]),
        snapshot(DAY, [score(NEW, 5, 50), score(OLD, 1, 10)]),
    ]
    for day in days:
        await keep(database, snapshots=[day])
    lines = await lines_of(database)
    assert {key: line.scored for key, line in lines.items()} == {NEW: True, OLD: True}
    async with database.transaction() as session:
        assert await current_id(session, TENANT, OLD) == OLD


def test_only_days_before_the_rename_are_read_under_the_new_id() -> None:
    from app.features.secure_score.sync.parse_graph import snapshots_of  # noqa: PLC0415
    from app.features.secure_score.sync.parse_report import ParseReport  # noqa: PLC0415

    rows = snapshots_of([snapshot(days_before(ago), [score(OLD)]) for ago in (1, 0)], TENANT, ParseReport())
    found = under_new_ids(rows, [Rename(OLD, NEW, DAY)])
    assert [[control.control_id for control in row.controls or []] for row in found] == [[NEW], [OLD]]


async def test_tickets_of_the_old_id_are_found_under_the_new_one(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(
            text("CREATE TEMPORARY TABLE ticket_action (ticket_id uuid, control_id text) ON COMMIT DROP")
        )
        rows = [(1, "X"), (2, "X"), (2, "7.X"), (3, "Y")]
        for number, control_id in rows:
            values = {"ticket_id": UUID(int=number), "control_id": control_id}
            await session.execute(text("INSERT INTO ticket_action VALUES (:ticket_id, :control_id)"), values)
        await follow_renames(session, [("X", "7.X")])
        left = await session.execute(text("SELECT ticket_id, control_id FROM ticket_action ORDER BY 1, 2"))
        assert [(row.ticket_id.int, row.control_id) for row in left] == [(1, "7.X"), (2, "7.X"), (3, "Y")]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([("A", 1, 2), ("7.A", 3, 9)], [("A", "7.A", 3)]),
        ([("7.A", 1, 2), ("A", 3, 9)], [("7.A", "A", 3)]),
        # A day lies between them, they overlap, or they are two controls.
        ([("A", 1, 2), ("7.A", 4, 9)], []),
        ([("A", 1, 3), ("7.A", 3, 9)], []),
        ([("A", 1, 2), ("B", 3, 9)], []),
        ([("A", 1, 2), ("7.A", 3, 9), ("8.A", 3, 9)], []),
        ([("A", 1, 2), ("7.A", 1, 2), ("8.A", 3, 9)], []),
        ([("A", 1, 2), ("7.A", 3, 5), ("A2", 3, 9), ("8.A", 6, 9)], [("A", "7.A", 3), ("7.A", "8.A", 6)]),
    ],
)
def test_an_id_that_ends_is_paired_with_the_only_one_that_begins(
    spans: list[tuple[str, int, int]], expected: list[tuple[str, str, int]]
) -> None:
    assert pairs_of(spans) == expected


def test_thousands_that_fit_one_another_are_no_pairs() -> None:
    spans = [(f"{number}.A", 1, 2) for number in range(5_000)] + [
        (f"{number}.A", 3, 4) for number in range(5_000, 9_000)
    ]
    assert pairs_of(spans) == []


async def test_controls_that_stay_are_not_compared_with_one_another(database: Database) -> None:
    """Without statistics PostgreSQL joins by nested loops: over all pairs of ids they take its time limit."""
    names = [f"C{number}" for number in range(1_500)]
    days = [snapshot(days_before(ago), [score(name) for name in names]) for ago in (1, 0)]
    await keep(database, snapshots=days, profiles=[profile(name) for name in names])
    async with database.transaction() as session:
        for joins in ("hashjoin", "mergejoin", "material"):
            await session.execute(text(f"SET LOCAL enable_{joins} = off"))
        await session.execute(text("SET LOCAL statement_timeout = '3s'"))  # It takes a twentieth of that.
        assert await find_renames(session, TENANT) == []
