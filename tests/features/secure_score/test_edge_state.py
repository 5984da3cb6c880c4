"""States, decisions, their way to Graph, and regressions. Numbers are the fact sheet's edge cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.secure_score.changes import Day, Kind, Point, changes_of, marks_of
from app.features.secure_score.decipher import effective_state
from app.features.secure_score.import_scores import import_from_graph
from app.features.secure_score.jobs import decide_and_send, send_state
from app.features.secure_score.overview import reviews, targets
from app.features.secure_score.plan import Wish, decide
from app.features.secure_score.results import regressions
from app.features.secure_score.show_action import ActionDetail, load_action
from app.features.secure_score.status import Decision, Status, standing_of
from app.foundation.clock import SetClock
from app.foundation.database import Database
from app.foundation.errors import Conflict, InvalidInput
from app.resources import Resources
from tests.factories.graph_payloads import DAY, TENANT, days_before, keep, keep_days, profile, score, snapshot
from tests.factories.house import House
from tests.features.secure_score.test_edge_joining import lines_of

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


def update(state: str | None, at: str | None, **changes: Any) -> dict[str, Any]:
    return {"state": state, "updatedDateTime": at, "assignedTo": None, "comment": None, "updatedBy": None} | changes


@pytest.mark.parametrize(
    ("updates", "state"),
    [
        ([], ""),
        (None, ""),
        ("x", ""),
        ([update("Default", None)], ""),
        ([update("Ignored", "2026-03-01T00:00:00Z"), update("ThirdParty", "2026-02-01T00:00:00Z")], "Ignored"),
        ([update("ThirdParty", "2026-02-01T00:00:00Z"), update("Ignored", "2026-03-01T00:00:00Z")], "Ignored"),
        ([update("Ignored", "2026-03-01T00:00:00Z"), update("Default", "2026-04-01T00:00:00Z")], ""),
        ([update("Ignored", "2026-03-01T00:00:00Z"), update("Default", None)], "Ignored"),
        ([update("a", "2026-03-01T00:00:00Z"), update("b", "2026-03-01T00:00:00Z")], "b"),
        ([update("AlternateMitigation", "2026-03-01T00:00:00.1234567Z")], "AlternateMitigation"),
        ([update(None, "2026-03-01T00:00:00Z")], ""),
        ([None, 7, update("reviewed", None)], "reviewed"),
    ],
)
def test_edge_42_the_latest_state_counts(updates: object, state: str) -> None:
    assert effective_state(updates)[0] == state


@pytest.mark.parametrize(
    ("state", "status", "name"),
    [
        ("", Status.TO_ADDRESS, "To address"),
        ("Default", Status.TO_ADDRESS, "To address"),
        ("ignored", Status.RISK_ACCEPTED, "Risk accepted"),
        ("THIRDPARTY", Status.THIRD_PARTY, "Resolved through third party"),
        ("Reviewed", Status.ALTERNATE_MITIGATION, "Resolved through alternate mitigation"),
        ("AlternateMitigation", Status.ALTERNATE_MITIGATION, "Resolved through alternate mitigation"),
        ("Planned", Status.PLANNED, "Planned"),
        ("Postponed%(x)s", Status.OTHER, "Postponed%(x)s"),
    ],
)
def test_edge_42_states_in_any_case_and_unknown_ones_in_their_own_words(state: str, status: Status, name: str) -> None:
    found = standing(state=state)
    assert (found.status, str(found.name)) == (status, name)


def standing(**changes: Any) -> Any:
    given_: dict[str, Any] = {
        "scored": True, "points": 4, "max_points": 10, "percent": 40, "state": "", "state_at": None, "decision": None, "now": NOW,
    }  # fmt: skip
    return standing_of(**given_ | changes)


@pytest.mark.parametrize(
    ("state", "points", "status"),
    [
        ("", 10, Status.COMPLETED),
        ("", 9.999, Status.COMPLETED),
        ("", 9, Status.TO_ADDRESS),
        ("ThirdParty", 10, Status.THIRD_PARTY),
        ("Ignored", 0, Status.RISK_ACCEPTED),
        ("Reviewed", 10, Status.ALTERNATE_MITIGATION),
        ("Planned", 10, Status.COMPLETED),
    ],
)
def test_edge_43_completed_is_what_microsoft_detected_and_nobody_declared(
    state: str, points: float, status: Status
) -> None:
    assert standing(state=state, points=points).status is status


async def test_edge_43_declared_points_are_marked_and_accepted_risks_leave_the_to_do_list(house: House) -> None:
    tenant_id = house.resources.config.tenant_id
    states = {"Declared": "ThirdParty", "Accepted": "Ignored", "Open": "Default"}
    await keep(
        house.resources.database,
        snapshots=[snapshot(
            controls=[score("Declared", 10, 100), score("Accepted", 0, 0), score("Open", 0, 0)], azureTenantId=tenant_id
        )],
        profiles=[
            profile(key, controlStateUpdates=[update(state, "2026-03-01T00:00:00Z")], azureTenantId=tenant_id)
            for key, state in states.items()
        ],
        tenant_id=tenant_id,
    )  # fmt: skip
    async with await house.signed_in("viewer") as browser:
        assert "Microsoft does not verify it." in (await browser.get("/secure-score/actions/Declared")).text
        to_do = (await browser.get("/secure-score/actions?status=to_address")).text
        accepted = (await browser.get("/secure-score/actions?status=risk_accepted")).text
    assert ("Title of Open" in to_do, "Title of Accepted" in to_do) == (True, False)
    assert "Title of Accepted" in accepted
    lines = list((await lines_of(house.resources.database, tenant_id)).values())
    assert {str(review.label): review.count for review in reviews(lines)}["Risk accepted"] == 1
    by_name = {target.name: target.points for target in targets(lines, 10, 100)}
    assert (by_name["licence"], by_name["achievable"]) == (30, 20)


async def test_edge_44_completed_and_device_actions_have_no_status_editor(house: House) -> None:
    tenant_id = house.resources.config.tenant_id
    keys = {"Done": 10, "scid_2021": 0, "Open": 0}
    await keep(
        house.resources.database,
        snapshots=[
            snapshot(
                controls=[score(key, points, points * 10) for key, points in keys.items()], azureTenantId=tenant_id
            )
        ],
        profiles=[profile(key, azureTenantId=tenant_id) for key in (*keys, "Unscored")],
        tenant_id=tenant_id,
    )
    async with await house.signed_in("manager") as browser:
        for key, editable in {"Done": False, "scid_2021": False, "Unscored": False, "Open": True}.items():
            page = (await browser.get(f"/secure-score/actions/{key}")).text
            assert ("Edit status and action plan" in page) is editable, key
            answer = await browser.post(f"/secure-score/action/status?action={key}", data={"status": "risk_accepted"})
            assert answer.status_code == (303 if editable else 409), key
        assert (
            await browser.post("/secure-score/action/status?action=Open", data={"status": "completed"})
        ).status_code == 422
        assert (
            await browser.post("/secure-score/action/status?action=None", data={"status": "planned"})
        ).status_code in (404,)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (Wish(Status.PLANNED, None, ""), "planned_for"),
        (Wish(Status.PLANNED, days_before(30).replace(year=2020), ""), "planned_for"),
        (Wish(Status.COMPLETED, None, ""), "status"),
        (Wish(Status.OTHER, None, ""), "status"),
    ],
)
async def test_edge_44_a_decision_must_make_sense(database: Database, wish: Wish, field: str) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A")])])
    async with database.transaction() as session:
        with pytest.raises(InvalidInput) as refused:
            await decide(session, TENANT, "A", wish, who="Alex", write_back=False)
    assert field in refused.value.fields


# Write-back


@pytest.fixture
async def writing(house: House) -> House:
    """The house with write-back switched on and the stand-in's data imported."""
    keep_days(house.microsoft.tenant, 3)
    await import_from_graph(house.resources)
    config = replace(house.resources.config, secure_score_write_back=True)
    return replace(house, resources=replace(house.resources, config=config))


async def choose(house: House, control_id: str, status: Status) -> None:
    async with house.resources.database.transaction() as session:
        await decide_and_send(session, house.resources, control_id, Wish(status, None, ""), who="Alex")


async def detail(resources: Resources, control_id: str) -> ActionDetail:
    async with resources.database.transaction() as session:
        return await load_action(session, resources.config.tenant_id, control_id)


CONTROL = "BlockLegacyAuthentication"


async def test_edge_45_a_decision_reaches_graph_and_counts_once_graph_took_it(writing: House) -> None:
    await choose(writing, CONTROL, Status.RISK_ACCEPTED)
    before = await detail(writing.resources, CONTROL)
    assert before.line.status is Status.TO_ADDRESS
    assert str(before.wanted) == "Risk accepted"
    await writing.work()
    sent = writing.microsoft.tenant.updates[CONTROL][-1]
    assert sent["state"] == "Ignored"
    after = await detail(writing.resources, CONTROL)
    assert (after.line.status, after.line.standing.pending) == (Status.RISK_ACCEPTED, True)
    await import_from_graph(writing.resources)
    shown = await detail(writing.resources, CONTROL)
    assert (shown.line.status, shown.line.standing.pending, shown.state) == (Status.RISK_ACCEPTED, False, "Ignored")


async def test_edge_45_nothing_is_written_without_a_real_change(writing: House) -> None:
    await choose(writing, "mdo_safedocuments", Status.ALTERNATE_MITIGATION)
    await choose(writing, CONTROL, Status.TO_ADDRESS)
    await send_state.function(writing.resources, control_id=CONTROL)
    await writing.work()
    assert CONTROL not in writing.microsoft.tenant.updates
    assert len(writing.microsoft.tenant.updates["mdo_safedocuments"]) == 1


async def test_edge_45_it_is_off_by_default(house: House) -> None:
    await import_from_graph(house.resources)
    await choose(house, CONTROL, Status.RISK_ACCEPTED)
    await house.work()
    assert CONTROL not in house.microsoft.tenant.updates
    found = await detail(house.resources, CONTROL)
    assert (found.line.status, found.line.standing.pending) == (Status.RISK_ACCEPTED, False)


async def test_edge_45_device_controls_are_never_written(writing: House) -> None:
    with pytest.raises(Conflict, match="Vulnerability Management"):
        await choose(writing, "scid_2021", Status.RISK_ACCEPTED)
    await send_state.function(writing.resources, control_id="scid_2021")
    assert "scid_2021" not in writing.microsoft.tenant.updates


async def test_edge_45_a_refusal_is_shown_and_changes_nothing(writing: House) -> None:
    await choose(writing, CONTROL, Status.RISK_ACCEPTED)
    writing.microsoft.tenant.faults["forbidden"] = 1
    await writing.work()
    found = await detail(writing.resources, CONTROL)
    assert found.line.status is Status.TO_ADDRESS
    assert "SecurityEvents.ReadWrite.All" in str(found.problem)
    async with await writing.signed_in("manager") as browser:
        assert "SecurityEvents.ReadWrite.All" in (await browser.get(f"/secure-score/actions/{CONTROL}")).text


async def test_edge_45_a_plain_400_is_shown_and_changes_nothing(writing: House) -> None:
    writing.microsoft.tenant.quirks.writes_refused = True
    await choose(writing, CONTROL, Status.RISK_ACCEPTED)
    await writing.work()
    found = await detail(writing.resources, CONTROL)
    assert found.line.status is Status.TO_ADDRESS
    assert "Microsoft refused this status (status 400)" in str(found.problem)


async def test_edge_46_what_microsoft_dropped_again_is_told_after_a_week(writing: House, still_clock: SetClock) -> None:
    """Reviewed falls back to Default, as some saw: until then it might only be late."""
    writing.microsoft.tenant.quirks.reviewed_lost = True
    still_clock.move((datetime.now(UTC) - still_clock.now()).total_seconds())  # The stand-in has a clock of its own.
    await choose(writing, CONTROL, Status.ALTERNATE_MITIGATION)
    still_clock.move(60)
    await writing.work()
    await import_from_graph(writing.resources)
    assert (await detail(writing.resources, CONTROL)).line.standing.pending
    still_clock.move(timedelta(days=8).total_seconds())
    await import_from_graph(writing.resources)
    found = (await detail(writing.resources, CONTROL)).line.standing
    assert (found.status, found.pending, found.overdue) == (Status.TO_ADDRESS, False, True)
    async with await writing.signed_in("viewer") as browser:
        page = (await browser.get(f"/secure-score/actions/{CONTROL}")).text
    assert "Microsoft has not shown it within seven days." in page


async def test_edge_46_until_microsoft_shows_it_nothing_flaps(writing: House, still_clock: SetClock) -> None:
    await choose(writing, CONTROL, Status.RISK_ACCEPTED)
    writing.microsoft.tenant.quirks.writes_hidden = True
    await writing.work()
    for day in range(1, 7):
        still_clock.move(timedelta(days=1).total_seconds())
        await import_from_graph(writing.resources)
        found = (await detail(writing.resources, CONTROL)).line.standing
        assert (found.status, found.pending, found.overdue) == (Status.RISK_ACCEPTED, True, False), day
    still_clock.move(timedelta(days=2).total_seconds())
    assert (await detail(writing.resources, CONTROL)).line.standing.overdue
    writing.microsoft.tenant.quirks.writes_hidden = False
    await import_from_graph(writing.resources)
    found = (await detail(writing.resources, CONTROL)).line.standing
    assert (found.status, found.pending) == (Status.RISK_ACCEPTED, False)


def test_edge_46_a_newer_word_from_microsoft_counts_once_the_time_is_over() -> None:
    sent = NOW - timedelta(days=8)
    decision = Decision(Status.RISK_ACCEPTED, sent, sent_at=sent)
    late = standing(state="ThirdParty", state_at=NOW - timedelta(days=1), decision=decision)
    assert late.status is Status.THIRD_PARTY
    early = standing(state="ThirdParty", state_at=NOW, decision=replace(decision, sent_at=NOW - timedelta(days=2)))
    assert early.status is Status.RISK_ACCEPTED


# Regressions


def course(
    *points: float | None, percents: list[float | None] | None = None
) -> tuple[list[Day], dict[str, dict[int, Point]]]:
    """Days and one control's points; a percentage is of ten points unless given."""
    days = [
        Day(number, days_before(len(points) - number), NOW - timedelta(days=len(points) - number))
        for number in range(len(points))
    ]
    given_ = percents or [None if value is None else value * 10 for value in points]
    return days, {"A": {number: Point(value, given_[number]) for number, value in enumerate(points)}}


def kinds(
    *points: float | None, percents: list[float | None] | None = None, decided: tuple[datetime, ...] = ()
) -> list[Kind]:
    return [change.kind for change in changes_of(*course(*points, percents=percents), {"A": decided})]


def test_edge_47_a_fall_beyond_the_tolerance_is_a_regression() -> None:
    assert kinds(8, 8, 0) == [Kind.REGRESSED]
    assert kinds(8, 7.95) == [Kind.CHANGED]
    assert kinds(5, 8) == [Kind.GAINED]
    assert kinds(8, 8) == []


def test_edge_47_a_changed_maximum_is_no_regression() -> None:
    assert kinds(8, 4, percents=[80, 80]) == [Kind.CHANGED]
    assert kinds(8, 8, percents=[80, 40]) == [Kind.CHANGED]


def test_edge_47_a_fall_after_a_decision_is_no_regression() -> None:
    assert kinds(10, 0, decided=(NOW - timedelta(days=1, hours=5),)) == [Kind.CHANGED]
    assert kinds(10, 0, decided=(NOW - timedelta(days=40),)) == [Kind.REGRESSED]


def test_edge_47_one_snapshot_or_nothing_to_lose_is_no_alert() -> None:
    assert kinds(8) == []
    assert kinds(0, 0) == []
    assert kinds(None, None) == []


def test_edge_47_unknown_points_are_no_fall_and_the_last_known_ones_are_compared() -> None:
    assert kinds(8, None, 8) == []
    assert kinds(8, None, 3) == [Kind.REGRESSED]


@pytest.mark.parametrize(
    ("points", "mark"),
    [
        ((8, 0), 8),
        ((8, 0, 8), None),
        ((8, 0, 4), 8),
        ((10, 8, 5), 10),
        ((10, 8, 5, 8), 10),
        ((10, 8, 5, 9.95), None),
        ((0, 8), None),
    ],
)
def test_edge_47_the_mark_stays_until_the_points_are_back(points: tuple[float, ...], mark: float | None) -> None:
    found = marks_of(changes_of(*course(*points), {}))
    assert (found["A"].points if "A" in found else None) == mark


@given(st.lists(st.one_of(st.none(), st.integers(0, 10)), max_size=12))
def test_edge_47_an_action_at_its_best_is_never_marked(points: list[int | None]) -> None:
    days, scores = course(*points, 10)
    assert marks_of(changes_of(days, scores, {})) == {}


async def test_edge_47_the_stand_ins_regression_is_found_and_no_licence_change_is_one(house: House) -> None:
    await import_from_graph(house.resources)
    async with house.resources.database.transaction() as session:
        [found] = await regressions(session, house.resources.config.tenant_id)
    assert (found.control_id, found.points_before, found.points_now) == (CONTROL, 8, 0)
    async with await house.signed_in("viewer") as browser:
        assert "New licences: HasAADP2, HasM365E5, HasMDEP2." in (await browser.get("/secure-score/history")).text


async def test_edge_47_the_same_days_in_any_order_give_the_same_history(database: Database) -> None:
    days = [
        snapshot(days_before(ago), [score("A", points, points * 10)])
        for ago, points in ((4, 9), (3, 2), (2, 9), (1, 1))
    ]
    for day in (days[2], days[0], days[3], days[1]):
        await keep(database, snapshots=[day])
    line = (await lines_of(database))["A"]
    assert (line.regressed_on, line.regressed_from) == (days_before(1), 9)
    await keep(database, snapshots=[snapshot(DAY, [score("A", 9, 90)])])
    assert not (await lines_of(database))["A"].is_regressed


async def test_edge_48_missing_days_are_gaps_in_the_plot(house: House) -> None:
    await import_from_graph(house.resources)
    async with await house.signed_in("viewer") as browser:
        page = (await browser.get("/secure-score")).text
    assert ", null, " in page
