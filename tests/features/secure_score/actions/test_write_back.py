"""Decisions on their way to Graph."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.core.clock import SetClock
from app.core.errors import Conflict
from app.features.secure_score.actions.action_details import ActionDetail, load_action, load_history
from app.features.secure_score.actions.action_status import Status
from app.features.secure_score.actions.plan import PlanChange
from app.features.secure_score.jobs import decide_and_send, send_state
from app.features.secure_score.sync.import_scores import import_from_graph
from app.resources import Resources
from tests.factories.graph_payloads import keep_days
from tests.factories.secure_score import a_manager
from tests.factories.system import System

pytestmark = pytest.mark.thorough


@pytest.fixture
async def writing(system: System) -> System:
    """The system with write-back switched on and the sandbox's data imported."""
    keep_days(system.microsoft.tenant, 3)
    await import_from_graph(system.resources)
    config = replace(system.resources.config, secure_score_write_back=True)
    return replace(system, resources=replace(system.resources, config=config))


async def choose(system: System, control_id: str, status: Status) -> None:
    by = await a_manager(system.resources.database)
    async with system.resources.database.transaction() as session:
        await decide_and_send(session, system.resources, control_id, PlanChange(status, None, ""), by=by)


async def detail(resources: Resources, control_id: str) -> ActionDetail:
    async with resources.database.transaction() as session:
        return await load_action(session, resources.config.tenant_id, control_id)


CONTROL = "BlockLegacyAuthentication"


@pytest.mark.fact("microsoft-graph edge-45")
async def test_a_decision_reaches_graph_and_counts_once_graph_took_it(writing: System) -> None:
    await choose(writing, CONTROL, Status.RISK_ACCEPTED)
    before = await detail(writing.resources, CONTROL)
    assert before.line.status is Status.TO_ADDRESS
    assert str(before.wanted) == "Risk accepted"
    await writing.work()
    sent = writing.microsoft.tenant.updates[CONTROL][-1]
    assert sent["state"] == "Ignored"
    after = await detail(writing.resources, CONTROL)
    assert (after.line.status, after.line.status_shown.pending) == (Status.RISK_ACCEPTED, True)
    await import_from_graph(writing.resources)
    shown = await detail(writing.resources, CONTROL)
    assert (shown.line.status, shown.line.status_shown.pending, shown.state) == (Status.RISK_ACCEPTED, False, "Ignored")


@pytest.mark.fact("microsoft-graph edge-45")
async def test_nothing_is_written_without_a_real_change(writing: System) -> None:
    await choose(writing, "mdo_safedocuments", Status.ALTERNATE_MITIGATION)
    await choose(writing, CONTROL, Status.TO_ADDRESS)
    await send_state.function(writing.resources, control_id=CONTROL)
    await writing.work()
    assert CONTROL not in writing.microsoft.tenant.updates
    assert len(writing.microsoft.tenant.updates["mdo_safedocuments"]) == 1


@pytest.mark.fact("microsoft-graph edge-45")
async def test_taking_back_what_graph_took_and_does_not_show_yet_reaches_graph(writing: System) -> None:
    await choose(writing, CONTROL, Status.RISK_ACCEPTED)
    await writing.work()
    await choose(writing, CONTROL, Status.THIRD_PARTY)
    await choose(writing, CONTROL, Status.TO_ADDRESS)
    await writing.work()
    assert [sent["state"] for sent in writing.microsoft.tenant.updates[CONTROL]] == ["Ignored", "Default"]


@pytest.mark.fact("microsoft-graph edge-45")
async def test_a_decision_taken_back_before_it_was_sent_is_not_sent(writing: System) -> None:
    await choose(writing, CONTROL, Status.RISK_ACCEPTED)
    await choose(writing, CONTROL, Status.TO_ADDRESS)
    await writing.work()
    assert CONTROL not in writing.microsoft.tenant.updates
    assert (await detail(writing.resources, CONTROL)).wanted is None
    async with writing.resources.database.transaction() as session:
        events = (await load_history(session, writing.resources.config.tenant_id, CONTROL)).events
    decisions = [(str(event.status_before), str(event.status_after)) for event in events if event.kind == "decided"]
    assert decisions == [("Risk accepted", "To address"), ("To address", "Risk accepted")]


@pytest.mark.fact("microsoft-graph edge-45")
async def test_a_refused_decision_can_be_taken_back(writing: System) -> None:
    writing.microsoft.tenant.edge_cases.writes_refused = True
    await choose(writing, CONTROL, Status.RISK_ACCEPTED)
    await writing.work()
    await choose(writing, CONTROL, Status.TO_ADDRESS)
    found = await detail(writing.resources, CONTROL)
    assert (found.wanted, found.problem) == (None, None)


@pytest.mark.fact("microsoft-graph edge-45")
async def test_the_reason_reaches_graph_as_the_comment(writing: System) -> None:
    by = await a_manager(writing.resources.database)
    async with writing.resources.database.transaction() as session:
        change = PlanChange(Status.RISK_ACCEPTED, None, "Legacy printers until 2027")
        await decide_and_send(session, writing.resources, CONTROL, change, by=by)
    await writing.work()
    assert writing.microsoft.tenant.updates[CONTROL][-1]["comment"] == "Legacy printers until 2027"


@pytest.mark.fact("microsoft-graph edge-45")
async def test_it_is_off_by_default(system: System) -> None:
    await import_from_graph(system.resources)
    await choose(system, CONTROL, Status.RISK_ACCEPTED)
    await system.work()
    assert CONTROL not in system.microsoft.tenant.updates
    found = await detail(system.resources, CONTROL)
    assert (found.line.status, found.line.status_shown.pending) == (Status.RISK_ACCEPTED, False)


@pytest.mark.fact("microsoft-graph edge-45")
async def test_device_controls_are_never_written(writing: System) -> None:
    with pytest.raises(Conflict, match="Vulnerability Management"):
        await choose(writing, "scid_2021", Status.RISK_ACCEPTED)
    await send_state.function(writing.resources, control_id="scid_2021")
    assert "scid_2021" not in writing.microsoft.tenant.updates


@pytest.mark.fact("microsoft-graph edge-45")
async def test_a_refusal_is_shown_and_changes_nothing(writing: System) -> None:
    await choose(writing, CONTROL, Status.RISK_ACCEPTED)
    writing.microsoft.tenant.faults["forbidden"] = 1
    await writing.work()
    found = await detail(writing.resources, CONTROL)
    assert found.line.status is Status.TO_ADDRESS
    assert "SecurityEvents.ReadWrite.All" in str(found.problem)
    async with await writing.signed_in("manager") as browser:
        assert "SecurityEvents.ReadWrite.All" in (await browser.get(f"/secure-score/actions/{CONTROL}")).text


@pytest.mark.fact("microsoft-graph edge-45")
async def test_a_plain_400_is_shown_and_changes_nothing(writing: System) -> None:
    writing.microsoft.tenant.edge_cases.writes_refused = True
    await choose(writing, CONTROL, Status.RISK_ACCEPTED)
    await writing.work()
    found = await detail(writing.resources, CONTROL)
    assert found.line.status is Status.TO_ADDRESS
    assert "Microsoft refused this status (status 400)" in str(found.problem)


@pytest.mark.fact("microsoft-graph edge-46")
async def test_a_state_that_microsoft_dropped_is_reported_after_a_week(writing: System, still_clock: SetClock) -> None:
    """Reviewed falls back to Default, as some saw: until then it might only be late."""
    writing.microsoft.tenant.edge_cases.reviewed_lost = True
    still_clock.move((datetime.now(UTC) - still_clock.now()).total_seconds())  # The sandbox has a clock of its own.
    await choose(writing, CONTROL, Status.ALTERNATE_MITIGATION)
    still_clock.move(60)
    await writing.work()
    await import_from_graph(writing.resources)
    assert (await detail(writing.resources, CONTROL)).line.status_shown.pending
    still_clock.move(timedelta(days=8).total_seconds())
    await import_from_graph(writing.resources)
    found = (await detail(writing.resources, CONTROL)).line.status_shown
    assert (found.status, found.pending, found.overdue) == (Status.TO_ADDRESS, False, True)
    async with await writing.signed_in("viewer") as browser:
        page = (await browser.get(f"/secure-score/actions/{CONTROL}")).text
    assert "Microsoft has not shown it within seven days." in page


@pytest.mark.fact("microsoft-graph edge-46")
async def test_until_microsoft_shows_it_nothing_flaps(writing: System, still_clock: SetClock) -> None:
    await choose(writing, CONTROL, Status.RISK_ACCEPTED)
    writing.microsoft.tenant.edge_cases.writes_hidden = True
    await writing.work()
    for day in range(1, 7):
        still_clock.move(timedelta(days=1).total_seconds())
        await import_from_graph(writing.resources)
        found = (await detail(writing.resources, CONTROL)).line.status_shown
        assert (found.status, found.pending, found.overdue) == (Status.RISK_ACCEPTED, True, False), day
    still_clock.move(timedelta(days=2).total_seconds())
    assert (await detail(writing.resources, CONTROL)).line.status_shown.overdue
    writing.microsoft.tenant.edge_cases.writes_hidden = False
    await import_from_graph(writing.resources)
    found = (await detail(writing.resources, CONTROL)).line.status_shown
    assert (found.status, found.pending) == (Status.RISK_ACCEPTED, False)
