"""Resolve the status of an action from Microsoft's detection, the state in Graph and our own decision. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from app.core.messages import Message, T

# Graph may show a state only seven days after it was written; within 24 hours as a rule.
# docs/facts/microsoft-graph.md#1-5-state-updates-reading-and-writing
PENDING = timedelta(days=7)
# Graph rounds points; a difference below this is none.
ROUNDING = 0.005


class Status(StrEnum):
    """The portal's six, and three that it has no word for.

    Source: https://learn.microsoft.com/defender-xdr/microsoft-secure-score-improvement-actions
    """

    TO_ADDRESS = "to_address"
    PLANNED = "planned"
    RISK_ACCEPTED = "risk_accepted"
    THIRD_PARTY = "third_party"
    ALTERNATE_MITIGATION = "alternate_mitigation"
    COMPLETED = "completed"
    NOT_SCORED = "not_scored"  # Microsoft shows it and gives no points for it.
    OTHER = "other"  # Graph names a state we do not know; it is shown in its own words.
    NOT_APPLICABLE = "not_applicable"  # Not scored: no licence for it, or Microsoft dropped it.


NAMES = {
    Status.TO_ADDRESS: T("To address"),
    Status.PLANNED: T("Planned"),
    Status.RISK_ACCEPTED: T("Risk accepted"),
    Status.THIRD_PARTY: T("Resolved through third party"),
    Status.ALTERNATE_MITIGATION: T("Resolved through alternate mitigation"),
    Status.COMPLETED: T("Completed"),
    Status.NOT_SCORED: T("Not scored"),
    Status.OTHER: T("Other"),
    Status.NOT_APPLICABLE: T("Not applicable or not licensed"),
}
# What a person may choose. Completed is missing: only Microsoft's data can say it.
# docs/facts/microsoft-graph.md#3-1-pages-and-tabs
DECISIONS = (
    Status.TO_ADDRESS,
    Status.PLANNED,
    Status.RISK_ACCEPTED,
    Status.THIRD_PARTY,
    Status.ALTERNATE_MITIGATION,
)
# Microsoft gives full points for these and cannot verify the claim: docs/facts/microsoft-graph.md#edge-43
SELF_DECLARED = frozenset({Status.THIRD_PARTY, Status.ALTERNATE_MITIGATION})
# No document maps Graph's states to the portal's statuses. These are what other tools show; AlternateMitigation comes
# from one live tenant, and Planned is accepted in case it comes: docs/facts/microsoft-graph.md#edge-42
GRAPH_STATES = {
    "": Status.TO_ADDRESS,
    "default": Status.TO_ADDRESS,
    "ignored": Status.RISK_ACCEPTED,
    "thirdparty": Status.THIRD_PARTY,
    "reviewed": Status.ALTERNATE_MITIGATION,
    "alternatemitigation": Status.ALTERNATE_MITIGATION,
    "planned": Status.PLANNED,
}
# The state to PATCH for a decision. Planned has no documented name in Graph and therefore stays in our database.
# https://learn.microsoft.com/graph/api/securescorecontrolprofile-update
STATES_TO_WRITE = {
    Status.TO_ADDRESS: "Default",
    Status.RISK_ACCEPTED: "Ignored",
    Status.THIRD_PARTY: "ThirdParty",
    Status.ALTERNATE_MITIGATION: "Reviewed",
}


@dataclass(frozen=True)
class Decision:
    """What this organization decided here. `sent_at` and `confirmed_at` are None unless it is written to Graph."""

    status: Status
    decided_at: datetime
    planned_for: date | None = None
    sent_at: datetime | None = None
    confirmed_at: datetime | None = None

    def is_pending(self, now: datetime) -> bool:
        """Whether Graph took it and may still need time to show it."""
        return self.sent_at is not None and self.confirmed_at is None and now - self.sent_at <= PENDING

    def is_overdue(self, now: datetime) -> bool:
        """Whether Graph took it and has not shown it in the time it may need, which means that it was dropped."""
        return self.sent_at is not None and self.confirmed_at is None and now - self.sent_at > PENDING

    def outweighs(self, state_at: datetime | None, now: datetime) -> bool:
        """Whether it counts more than Graph's state, which is of `state_at` (None: undated)."""
        # Graph drops states now and then (Reviewed falls back to Default), and ours must not count forever.
        # docs/facts/microsoft-graph.md#edge-46
        if self.is_overdue(now):
            return False
        # While it may only be late, an older state from Graph must not make the status flap.
        # docs/facts/microsoft-graph.md#edge-46
        if self.is_pending(now):
            return True
        # Otherwise the newer of the two counts, as between two entries of Graph's own history.
        # docs/facts/microsoft-graph.md#edge-42
        return state_at is None or self.decided_at >= state_at


@dataclass(frozen=True)
class ActionStatus:
    """A status as pages show it.

    `name` is the text: Graph's own word where we do not know the state. `pending` means that Microsoft has not shown our
    decision yet, `overdue` that it has not within `PENDING`.
    """

    status: Status
    name: Message
    pending: bool = False
    overdue: bool = False

    @property
    def badge(self) -> str:
        """The state category whose color the badge takes."""
        return BADGES[self.status]


BADGES = {
    Status.TO_ADDRESS: "new",
    Status.PLANNED: "progress",
    Status.RISK_ACCEPTED: "waiting",
    Status.THIRD_PARTY: "done",
    Status.ALTERNATE_MITIGATION: "done",
    Status.COMPLETED: "done",
    Status.NOT_SCORED: "plain",
    Status.OTHER: "unknown",
    Status.NOT_APPLICABLE: "plain",
}


def is_device_control(control_id: str) -> bool:
    """Whether it belongs to Defender for Endpoint."""
    # Their state follows the exceptions in Vulnerability Management, and this API refuses to write it.
    # docs/facts/microsoft-graph.md#edge-44
    return control_id.lower().startswith("scid_")


def status_of_state(state: str) -> Status:
    """What a state in Graph means, in any case; OTHER where it is unknown."""
    # Nearly every control of a real tenant has none, so the list is spared the rest.
    if not state:
        return Status.TO_ADDRESS
    return GRAPH_STATES.get(state.strip().lower(), Status.OTHER)


def has_full_points(points: float | None, max_points: float | None, percent: float | None) -> bool:
    """Whether nothing is left to gain; where the maximum is unknown, Graph's percentage decides."""
    if points is not None and max_points:
        return points >= max_points - ROUNDING
    # A control whose maximum is 0 is not scored, so that 100 % of it is no achievement.
    # docs/facts/microsoft-graph.md#edge-14
    return percent is not None and percent >= 100 and max_points != 0


def is_worth_points(points: float | None, max_points: float | None, *, not_scored: bool) -> bool:
    """Whether there are points to gain or to lose; `not_scored` is Microsoft's own mark.

    Source: docs/facts/microsoft-graph.md#1-3-controlscores
    """
    return bool(points) or (max_points != 0 and not not_scored)


def resolve_status(
    *,
    scored: bool,
    not_scored: bool,
    points: float | None,
    max_points: float | None,
    percent: float | None,
    state: str,
    state_at: datetime | None,
    decision: Decision | None,
    now: datetime,
) -> ActionStatus:
    """The status of an action. The rules apply in this order:

    1. Without a score it is not applicable.
    2. Our decision counts if it outweighs Graph's state, else Graph's state does.
    3. Full points that Microsoft detected make it completed, even against a decision.
    4. What would be left to do, but is worth no points, is not scored.
    """
    # The catalog lists controls that the tenant has no license for: docs/facts/microsoft-graph.md#edge-25
    if not scored:
        return ActionStatus(Status.NOT_APPLICABLE, NAMES[Status.NOT_APPLICABLE])
    graph_status = status = status_of_state(state)
    pending = overdue = False
    if decision is not None:
        pending, overdue = decision.is_pending(now), decision.is_overdue(now)
        if decision.outweighs(state_at, now):
            status = decision.status
    is_declared = pending and status in SELF_DECLARED
    if has_full_points(points, max_points, percent) and _is_detected(graph_status, is_declared=is_declared):
        status = Status.COMPLETED
    if status is Status.TO_ADDRESS and not is_worth_points(points, max_points, not_scored=not_scored):
        status = Status.NOT_SCORED
    # An unknown state shows as it came. It is passed as a value, so that a "%" in it is no placeholder.
    # docs/facts/microsoft-graph.md#edge-42
    name = T("%(state)s", state=state) if status is Status.OTHER else NAMES[status]
    return ActionStatus(status, name, pending=pending, overdue=overdue)


def _is_detected(graph_status: Status, *, is_declared: bool) -> bool:
    """Whether full points come from Microsoft's own detection instead of a declaration.

    Completed means full points without an override: docs/facts/microsoft-graph.md#1-5-state-updates-reading-and-writing
    """
    # Points can follow a declaration before Graph shows the state that they came for: docs/facts/microsoft-graph.md#edge-43
    return graph_status in (Status.TO_ADDRESS, Status.PLANNED) and not is_declared
