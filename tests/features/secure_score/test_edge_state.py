"""States, and what may be decided. Numbers are the fact sheet's edge cases."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app.core.clock import SetClock
from app.core.database import Database
from app.core.errors import InvalidInput
from app.features.secure_score.actions.action_status import Decision, Status, resolve_status
from app.features.secure_score.actions.plan import PlanChange, decide
from app.features.secure_score.reports.overview import reviews, targets
from app.features.secure_score.sync.parse_graph import effective_state
from tests.factories.graph_payloads import TENANT, days_before, keep, profile, score, snapshot
from tests.factories.system import System
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
    return resolve_status(**given_ | changes)


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


def test_edge_43_full_points_while_a_declaration_is_pending_are_declared_not_detected() -> None:
    sent = NOW - timedelta(days=2)
    found = standing(points=10, percent=100, decision=Decision(Status.THIRD_PARTY, sent, sent_at=sent))
    assert found.status is Status.THIRD_PARTY


async def test_edge_43_declared_points_are_marked_and_accepted_risks_leave_the_to_do_list(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    states = {"Declared": "ThirdParty", "Accepted": "Ignored", "Open": "Default"}
    await keep(
        system.resources.database,
        snapshots=[snapshot(
            controls=[score("Declared", 10, 100), score("Accepted", 0, 0), score("Open", 0, 0)], azureTenantId=tenant_id
        )],
        profiles=[
            profile(key, controlStateUpdates=[update(state, "2026-03-01T00:00:00Z")], azureTenantId=tenant_id)
            for key, state in states.items()
        ],
        tenant_id=tenant_id,
    )  # fmt: skip
    async with await system.signed_in("viewer") as browser:
        assert "Microsoft does not verify it." in (await browser.get("/secure-score/actions/Declared")).text
        to_do = (await browser.get("/secure-score/actions?status=to_address")).text
        accepted = (await browser.get("/secure-score/actions?status=risk_accepted")).text
    assert ("Title of Open" in to_do, "Title of Accepted" in to_do) == (True, False)
    assert "Title of Accepted" in accepted
    lines = list((await lines_of(system.resources.database, tenant_id)).values())
    assert {str(review.label): review.count for review in reviews(lines)}["Risk accepted"] == 1
    by_name = {target.name: target.points for target in targets(lines, 10, 100)}
    assert (by_name["licence"], by_name["achievable"]) == (30, 20)


async def test_edge_44_completed_and_device_actions_have_no_status_editor(system: System) -> None:
    tenant_id = system.resources.config.tenant_id
    keys = {"Done": 10, "scid_2021": 0, "Open": 0}
    await keep(
        system.resources.database,
        snapshots=[
            snapshot(
                controls=[score(key, points, points * 10) for key, points in keys.items()], azureTenantId=tenant_id
            )
        ],
        profiles=[profile(key, azureTenantId=tenant_id) for key in (*keys, "Unscored")],
        tenant_id=tenant_id,
    )
    async with await system.signed_in("manager") as browser:
        for key, editable in {"Done": False, "scid_2021": False, "Unscored": False, "Open": True}.items():
            page = (await browser.get(f"/secure-score/actions/{key}")).text
            assert ("Edit status and action plan" in page) is editable, key
            answer = await browser.post(f"/secure-score/actions/status?action={key}", data={"status": "risk_accepted"})
            assert answer.status_code == (303 if editable else 409), key
        assert (
            await browser.post("/secure-score/actions/status?action=Open", data={"status": "completed"})
        ).status_code == 422
        assert (
            await browser.post("/secure-score/actions/status?action=None", data={"status": "planned"})
        ).status_code in (404,)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (PlanChange(Status.PLANNED, None, ""), "planned_for"),
        (PlanChange(Status.PLANNED, days_before(30).replace(year=2020), ""), "planned_for"),
        (PlanChange(Status.COMPLETED, None, ""), "status"),
        (PlanChange(Status.OTHER, None, ""), "status"),
    ],
)
async def test_edge_44_a_decision_must_make_sense(database: Database, wish: PlanChange, field: str) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A")])])
    async with database.transaction() as session:
        with pytest.raises(InvalidInput) as refused:
            await decide(session, TENANT, "A", wish, who="Alex", write_back=False)
    assert field in refused.value.fields


@pytest.mark.parametrize(("day", "passed"), [(20, False), (19, True)])
async def test_edge_44_what_is_still_today_west_of_greenwich_can_be_planned(
    database: Database, still_clock: SetClock, day: int, passed: bool
) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A")])])
    evening = datetime(2026, 11, 21, 2, tzinfo=UTC)  # Still the 20th, 18:00, in Seattle.
    still_clock.move((evening - still_clock.now()).total_seconds())
    wish = PlanChange(Status.PLANNED, date(2026, 11, day), "")
    async with database.transaction() as session:
        with pytest.raises(InvalidInput) if passed else nullcontext():
            await decide(session, TENANT, "A", wish, who="Alex", write_back=False)
