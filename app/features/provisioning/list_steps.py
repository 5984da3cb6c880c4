"""What pages show of the steps and of their outcome. Reads rows only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.core.database import Session
from app.core.messages import Message, T
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.connection.models import ConnectionStatus
from app.features.provisioning.checks.authorization import finding_of_attention
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.finding_catalog import make_finding
from app.features.provisioning.models import ProvisioningStep
from app.features.provisioning.readiness import hides_everything, load_problems, readiness_after
from app.features.provisioning.step_rows import is_due, is_lost, load_rows
from app.features.provisioning.steps import CARDS, CARDS_TITLE, STEP_BY_KEY, STEP_KEYS, STEPS

TODO = "todo"
RENEWAL_STEP = "token"
FOUND_BY_A_CALL = T("A call that was made after the last check.")
OUTCOME_CHECKED = T("The outcome of the steps above.")


@dataclass(frozen=True)
class StepLine:
    """One step as pages show it; `state` is a State's value, or "todo" where nothing is connected or a worker was lost."""

    key: str
    title: Message
    state: str
    checked_at: datetime | None
    finding: Finding | None
    is_outcome: bool = False

    @property
    def in_progress(self) -> bool:
        """Whether it will change without a person doing anything."""
        return self.state in (State.WAITING, State.RUNNING)


async def list_steps(session: Session) -> list[StepLine]:
    """Every step of the active connection in order, the outcome last; all "todo" when nothing is connected."""
    connection = await connection_view(session)
    rows = await load_rows(session, connection.id) if connection else {}
    lines = [step_line(step.code, step.step_title or Message(""), rows.get(step.code), connection) for step in STEPS]
    return [*lines, await _outcome(session, connection, lines)]


def step_line(key: str, title: Message, row: ProvisioningStep | None, connection: ConnectionView | None) -> StepLine:
    """The step as its row says, or as waiting, when a connection was made and the worker has not come to it yet."""
    finding = Finding.from_json(row.finding) if row and row.finding else None
    checked_at = row.checked_at if row else None
    if connection is not None and row is not None and is_overruled(row, connection):
        return _overruled(key, title, row, connection)
    # Only while calls may be made: otherwise nothing is checked, and a step would seem to wait for ever.
    if connection is not None and connection.is_connected and is_due(row, connection.connected_at):
        return StepLine(key, title, State.WAITING, checked_at, finding)
    # A step whose worker was lost is shown as "to do", so that "Check again" is offered; the periodic job repeats it too.
    if row is None or is_lost(row):
        return StepLine(key, title, TODO, checked_at, finding)
    return StepLine(key, title, row.state, checked_at, finding)


def is_overruled(row: ProvisioningStep, connection: ConnectionView) -> bool:
    """Whether the connection stopped working after this was checked: what is newer holds."""
    stopped_at = connection.status_changed_at if connection.status == ConnectionStatus.NEEDS_ATTENTION else None
    is_settled = row.state not in (State.WAITING, State.RUNNING)
    return is_settled and stopped_at is not None and (row.checked_at is None or row.checked_at < stopped_at)


def _overruled(key: str, title: Message, row: ProvisioningStep, connection: ConnectionView) -> StepLine:
    """The token's step says what the connection says; those after it need the token, and those before it do not."""
    finding = Finding.from_json(row.finding) if row.finding else None
    token = STEP_KEYS.index(RENEWAL_STEP)
    if key == RENEWAL_STEP and connection.attention is not None:
        newer = replace(finding_of_attention(connection, connection.attention), checked=FOUND_BY_A_CALL)
        return StepLine(key, title, newer.state, connection.status_changed_at, newer)
    if STEP_KEYS.index(key) > token and STEP_BY_KEY[key].needs_connection:
        return StepLine(key, title, State.SKIPPED, row.checked_at, finding)
    return StepLine(key, title, row.state, row.checked_at, finding)


async def _outcome(session: Session, connection: ConnectionView | None, lines: Sequence[StepLine]) -> StepLine:
    """Whether the home page shows its cards."""
    if connection is None:
        return StepLine(CARDS, CARDS_TITLE, TODO, None, None, is_outcome=True)
    since = connection.connected_at
    was_checked = any(line.checked_at and line.checked_at >= since for line in lines)
    ready = readiness_after(await load_problems(session, connection.id))
    if hides_everything(connection.status, was_checked=was_checked):
        code = "cards:unconfirmed"
    elif not connection.is_connected:
        code = "cards:stale"
    elif ready.is_ready:
        code = "cards:all"
    else:
        code = "cards:some" if ready.kinds else "cards:hidden"
    finding = replace(make_finding(code), checked=OUTCOME_CHECKED)
    # The finding about the cards stays visible while the steps are checked again.
    state = State.WAITING if any(line.in_progress for line in lines) else finding.state
    return StepLine(CARDS, CARDS_TITLE, state, None, finding, is_outcome=True)
