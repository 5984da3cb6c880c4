"""How detection, Graph's state and our own decision make one status."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.features.secure_score.actions.action_status import (
    DECISIONS,
    NAMES,
    STATES_TO_WRITE,
    ActionStatus,
    Decision,
    Status,
    has_full_points,
    is_device_control,
    resolve_status,
    status_of_state,
)

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


def resolve(**changes: Any) -> Any:
    given_: dict[str, Any] = {
        "scored": True, "not_scored": False,
        "points": 4, "max_points": 10, "percent": 40, "state": "", "state_at": None, "decision": None, "now": NOW,
    }  # fmt: skip
    return resolve_status(**given_ | changes)


@pytest.mark.fact("microsoft-graph edge-46")
def test_a_newer_word_from_microsoft_counts_once_the_time_is_over() -> None:
    sent = NOW - timedelta(days=8)
    decision = Decision(Status.RISK_ACCEPTED, sent, sent_at=sent)
    late = resolve(state="ThirdParty", state_at=NOW - timedelta(days=1), decision=decision)
    assert late.status is Status.THIRD_PARTY
    early = resolve(state="ThirdParty", state_at=NOW, decision=replace(decision, sent_at=NOW - timedelta(days=2)))
    assert early.status is Status.RISK_ACCEPTED


@pytest.mark.fact("microsoft-graph edge-46")
def test_a_decision_that_graph_dropped_does_not_count_for_ever() -> None:
    sent = NOW - timedelta(days=8)
    decision = Decision(Status.ALTERNATE_MITIGATION, sent, sent_at=sent)
    found = resolve(state="", state_at=None, decision=decision)
    assert (found.status, found.pending, found.overdue) == (Status.TO_ADDRESS, False, True)


@pytest.mark.fact("microsoft-graph edge-42")
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
def test_states_in_any_case_and_unknown_ones_in_their_own_words(state: str, status: Status, name: str) -> None:
    found = resolve(state=state)
    assert (found.status, str(found.name)) == (status, name)


@pytest.mark.fact("microsoft-graph edge-43")
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
def test_completed_is_what_microsoft_detected_and_not_declared(state: str, points: float, status: Status) -> None:
    assert resolve(state=state, points=points).status is status


@pytest.mark.fact("microsoft-graph edge-43")
def test_full_points_while_a_declaration_is_pending_are_declared_not_detected() -> None:
    sent = NOW - timedelta(days=2)
    found = resolve(points=10, percent=100, decision=Decision(Status.THIRD_PARTY, sent, sent_at=sent))
    assert found.status is Status.THIRD_PARTY


def days_ago(count: float) -> datetime:
    return NOW - timedelta(days=count)


@pytest.mark.fact("microsoft-graph edge-46")
@pytest.mark.parametrize(
    ("sent", "confirmed", "pending", "overdue"),
    [
        (None, None, False, False),
        (days_ago(0), None, True, False),
        (days_ago(7), None, True, False),
        (days_ago(7.01), None, False, True),
        (days_ago(30), days_ago(29), False, False),
    ],
)
def test_a_sent_decision_is_pending_for_seven_days_and_then_overdue(
    sent: datetime | None, confirmed: datetime | None, pending: bool, overdue: bool
) -> None:
    decision = Decision(Status.RISK_ACCEPTED, days_ago(30), sent_at=sent, confirmed_at=confirmed)
    assert (decision.is_pending(NOW), decision.is_overdue(NOW)) == (pending, overdue)


@pytest.mark.fact("microsoft-graph edge-42", "microsoft-graph edge-46")
@pytest.mark.parametrize(
    ("decided", "sent", "state_at", "outweighs"),
    [
        pytest.param(2, None, None, True, id="an undated state"),
        pytest.param(2, None, 3, True, id="an older state"),
        pytest.param(2, None, 2, True, id="a state of the same moment"),
        pytest.param(2, None, 1, False, id="a newer state"),
        pytest.param(2, 2, 1, True, id="a newer state while ours is pending"),
        pytest.param(9, 8, None, False, id="an undated state once ours is overdue"),
        pytest.param(9, 8, 10, False, id="an older state once ours is overdue"),
    ],
)
def test_the_newer_of_decision_and_state_counts_and_a_pending_decision_first(
    decided: float, sent: float | None, state_at: float | None, outweighs: bool
) -> None:
    decision = Decision(Status.PLANNED, days_ago(decided), sent_at=None if sent is None else days_ago(sent))
    assert decision.outweighs(None if state_at is None else days_ago(state_at), NOW) is outweighs


@pytest.mark.fact("microsoft-graph edge-25")
def test_without_a_score_nothing_else_matters() -> None:
    decision = Decision(Status.PLANNED, days_ago(1))
    found = resolve(scored=False, points=10, percent=100, state="ThirdParty", decision=decision)
    assert (found.status, found.pending, found.overdue) == (Status.NOT_APPLICABLE, False, False)


@pytest.mark.fact("microsoft-graph edge-43")
@pytest.mark.parametrize(
    ("decided", "sent", "status"),
    [
        pytest.param(Status.PLANNED, None, Status.COMPLETED, id="planned"),
        pytest.param(Status.RISK_ACCEPTED, None, Status.COMPLETED, id="accepted"),
        pytest.param(Status.THIRD_PARTY, None, Status.COMPLETED, id="declared here alone"),
        pytest.param(Status.RISK_ACCEPTED, days_ago(1), Status.COMPLETED, id="accepted, pending"),
        pytest.param(Status.ALTERNATE_MITIGATION, days_ago(1), Status.ALTERNATE_MITIGATION, id="declared, pending"),
        pytest.param(Status.ALTERNATE_MITIGATION, days_ago(8), Status.COMPLETED, id="declared, dropped by Graph"),
    ],
)
def test_full_points_that_microsoft_detected_complete_what_was_decided_here(
    decided: Status, sent: datetime | None, status: Status
) -> None:
    decision = Decision(decided, days_ago(9), sent_at=sent)
    assert resolve(points=10, percent=100, decision=decision).status is status


@pytest.mark.fact("microsoft-graph edge-14")
@pytest.mark.parametrize(
    ("points", "max_points", "percent", "full"),
    [
        (10, 10, None, True),
        (9.996, 10, 99, True),
        (9.9, 10, 100, False),
        (15, 10, None, True),
        (3, None, 100, True),
        (3, None, 99.9, False),
        (None, 10, 100, True),
        (None, None, None, False),
        (0, 0, 100, False),
        (0, 0, None, False),
    ],
)
def test_full_points_are_read_from_points_and_else_from_the_percentage(
    points: float | None, max_points: float | None, percent: float | None, full: bool
) -> None:
    assert has_full_points(points, max_points, percent) is full


@pytest.mark.fact("microsoft-graph edge-44")
@pytest.mark.parametrize(("control_id", "is_device"), [("scid_2021", True), ("SCID_1", True), ("aad_scid_1", False)])
def test_device_controls_are_recognized_by_their_id(control_id: str, is_device: bool) -> None:
    assert is_device_control(control_id) is is_device


def test_every_status_has_a_name_and_a_badge_and_what_is_written_reads_back_as_itself() -> None:
    assert set(NAMES) == set(Status)
    assert all(ActionStatus(status, NAMES[status]).badge for status in Status)
    assert all(status_of_state(state) is status for status, state in STATES_TO_WRITE.items())
    assert set(DECISIONS) - set(STATES_TO_WRITE) == {Status.PLANNED}


@pytest.mark.fact("microsoft-graph 1.3")
@pytest.mark.parametrize(
    "changes",
    [{"points": 0, "max_points": 0, "percent": 0}, {"points": 0, "max_points": None, "percent": 0, "not_scored": True}],
    ids=["a maximum of 0", "Microsoft's mark"],
)
def test_what_is_worth_no_points_is_not_to_be_addressed(changes: dict[str, Any]) -> None:
    assert resolve(**changes).status is Status.NOT_SCORED
    assert resolve(**changes, state="Ignored").status is Status.RISK_ACCEPTED


@pytest.mark.fact("microsoft-graph 1.3")
def test_microsofts_mark_counts_for_nothing_while_there_are_points() -> None:
    assert resolve(not_scored=True, points=4).status is Status.TO_ADDRESS
    assert resolve(points=0, max_points=None, percent=0).status is Status.TO_ADDRESS
