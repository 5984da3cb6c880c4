"""Says how an action stands, from Microsoft's detection, the state in Graph, and our own decision. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from app.core.messages import Message, T

# Microsoft may take so long to show a state that was written (facts 1.5).
PENDING_DAYS = 7


class Status(StrEnum):
    """The portal's six, and two that it has no word for."""

    TO_ADDRESS = "to_address"
    PLANNED = "planned"
    RISK_ACCEPTED = "risk_accepted"
    THIRD_PARTY = "third_party"
    ALTERNATE_MITIGATION = "alternate_mitigation"
    COMPLETED = "completed"
    OTHER = "other"  # Graph names a state we do not know; it is shown in its own words.
    NOT_APPLICABLE = "not_applicable"  # Not scored: no licence for it, or Microsoft dropped it.


NAMES = {
    Status.TO_ADDRESS: T("To address"),
    Status.PLANNED: T("Planned"),
    Status.RISK_ACCEPTED: T("Risk accepted"),
    Status.THIRD_PARTY: T("Resolved through third party"),
    Status.ALTERNATE_MITIGATION: T("Resolved through alternate mitigation"),
    Status.COMPLETED: T("Completed"),
    Status.OTHER: T("Other"),
    Status.NOT_APPLICABLE: T("Not applicable or not licensed"),
}
# What a person may choose; Completed is Microsoft's to say.
DECISIONS = (
    Status.TO_ADDRESS,
    Status.PLANNED,
    Status.RISK_ACCEPTED,
    Status.THIRD_PARTY,
    Status.ALTERNATE_MITIGATION,
)
# Microsoft gives full points for these without being able to check them.
SELF_DECLARED = frozenset({Status.THIRD_PARTY, Status.ALTERNATE_MITIGATION})
# Nowhere documented; this is what other tools and one live tenant show (facts 1.5).
GRAPH_STATES = {
    "": Status.TO_ADDRESS,
    "default": Status.TO_ADDRESS,
    "ignored": Status.RISK_ACCEPTED,
    "thirdparty": Status.THIRD_PARTY,
    "reviewed": Status.ALTERNATE_MITIGATION,
    "alternatemitigation": Status.ALTERNATE_MITIGATION,
    "planned": Status.PLANNED,
}
# What a decision is called in Graph; Planned has no documented name there and stays with us.
STATES_TO_WRITE = {
    Status.TO_ADDRESS: "Default",
    Status.RISK_ACCEPTED: "Ignored",
    Status.THIRD_PARTY: "ThirdParty",
    Status.ALTERNATE_MITIGATION: "Reviewed",
}


@dataclass(frozen=True)
class Decision:
    """What this organisation decided here, and whether it is on its way to Graph."""

    status: Status
    decided_at: datetime
    planned_for: date | None = None
    sent_at: datetime | None = None
    confirmed_at: datetime | None = None


@dataclass(frozen=True)
class ActionStatus:
    """`name` is what to show; `pending` that Microsoft has not shown our decision yet."""

    status: Status
    name: Message
    pending: bool = False
    overdue: bool = False

    @property
    def badge(self) -> str:
        """The group whose colour it takes."""
        return BADGES[self.status]


BADGES = {
    Status.TO_ADDRESS: "new",
    Status.PLANNED: "progress",
    Status.RISK_ACCEPTED: "waiting",
    Status.THIRD_PARTY: "done",
    Status.ALTERNATE_MITIGATION: "done",
    Status.COMPLETED: "done",
    Status.OTHER: "unknown",
    Status.NOT_APPLICABLE: "plain",
}


def is_device_control(control_id: str) -> bool:
    """Defender for Endpoint's own: their state follows Vulnerability Management and cannot be set (facts 1.5)."""
    return control_id.lower().startswith("scid_")


def status_of_state(state: str) -> Status:
    """What a state in Graph means; one we do not know is OTHER."""
    if not state:  # Nearly all of them.
        return Status.TO_ADDRESS
    return GRAPH_STATES.get(state.strip().lower(), Status.OTHER)


def has_full_points(points: float | None, max_points: float | None, percent: float | None) -> bool:
    """Whether nothing is left to gain; where the maximum is unknown, Graph's percentage decides."""
    if points is not None and max_points:
        return points >= max_points - 0.005
    return percent is not None and percent >= 100 and max_points != 0


def resolve_status(
    *,
    scored: bool,
    points: float | None,
    max_points: float | None,
    percent: float | None,
    state: str,
    state_at: datetime | None,
    decision: Decision | None,
    now: datetime,
) -> ActionStatus:
    """How the action stands.

    The newer of Graph's state and our decision counts. A decision that was sent and not seen again stays pending; what
    Graph says meanwhile does not push it aside for seven days, so that nothing flaps. After that Graph counts: it dropped
    the decision.
    """
    if not scored:
        return ActionStatus(Status.NOT_APPLICABLE, NAMES[Status.NOT_APPLICABLE])
    theirs = status_of_state(state)
    pending = decision is not None and decision.sent_at is not None and decision.confirmed_at is None
    overdue = pending and decision is not None and now - (decision.sent_at or now) > timedelta(days=PENDING_DAYS)
    ours = decision is not None and not overdue and (state_at is None or decision.decided_at >= state_at or pending)
    status = decision.status if ours and decision is not None else theirs
    # Points that Microsoft gave by its own detection are earned, whatever was decided here; those that came while a
    # declaration is pending may have come for it, before Graph shows the state.
    is_declared = pending and ours and status in SELF_DECLARED
    detected = theirs in (Status.TO_ADDRESS, Status.PLANNED) and not is_declared
    if detected and has_full_points(points, max_points, percent):
        status = Status.COMPLETED
    name = T("%(state)s", state=state) if status is Status.OTHER else NAMES[status]
    return ActionStatus(status, name, pending=pending and ours, overdue=overdue)
