"""Write decisions to Graph, and confirm those that Graph shows. Only real changes, never device controls.

https://learn.microsoft.com/graph/api/securescorecontrolprofile-update, docs/facts/microsoft-graph.md#edge-45
"""

from __future__ import annotations

from sqlalchemy import select

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError
from app.core.logging import get_logger
from app.core.messages import Message
from app.features.secure_score.actions.action_status import STATES_TO_WRITE, Status, is_device_control, status_of_state
from app.features.secure_score.models import ActionPlan, ImprovementAction, StatusChange
from app.integrations.http.errors import Ambiguous
from app.resources import Resources

log = get_logger(__name__)


async def write_state(resources: Resources, control_id: str) -> None:
    """Send one decision, if it still has to be sent. A refusal is stored for the page. Raises errors worth a retry."""
    tenant_id = resources.config.tenant_id
    async with resources.database.transaction() as session:
        state = await _state_to_send(session, tenant_id, control_id)
        reason = await _newest_reason(session, tenant_id, control_id)
    if state is None:
        return
    problem: Message | None = None
    try:
        await resources.graph.change_state(control_id, state=state, comment=reason)
    except Ambiguous:
        # Counts as success. The status is then "pending at Microsoft", and an import shows whether it arrived; repeating
        # the PATCH would add noise to the history: docs/facts/microsoft-graph.md#edge-46
        log.warning("secure_score.state.answer_lost", control=control_id)
    except AppError as error:
        if error.retry.allowed:
            raise
        problem = error.message
    async with resources.database.transaction() as session:
        plan = await session.get(ActionPlan, (tenant_id, control_id), with_for_update=True)
        if plan is None or STATES_TO_WRITE.get(Status(plan.status)) != state:
            return  # A newer decision has a job of its own.
        plan.problem = problem.to_json() if problem else None
        if problem is None:
            plan.sent_state, plan.sent_at = state, clock.now()


async def _state_to_send(session: Session, tenant_id: str, control_id: str) -> str | None:
    plan = await session.get(ActionPlan, (tenant_id, control_id))
    action = await session.get(ImprovementAction, (tenant_id, control_id))
    if plan is None or action is None or is_device_control(control_id) or not plan.to_send or plan.sent_at is not None:
        return None
    # Graph shows the state already, so that a PATCH would be noise: docs/facts/microsoft-graph.md#edge-45
    if plan.sent_state == "" and status_of_state(action.state) == plan.status:
        plan.sent_at = plan.confirmed_at = clock.now()
        return None
    return STATES_TO_WRITE.get(Status(plan.status))


async def _newest_reason(session: Session, tenant_id: str, control_id: str) -> str:
    """The reason of the newest decision, which Microsoft's portal shows as the comment."""
    found = await session.execute(
        select(StatusChange.reason)
        .where(StatusChange.tenant_id == tenant_id, StatusChange.control_id == control_id)
        .order_by(StatusChange.decided_at.desc(), StatusChange.id.desc())
        .limit(1)
    )
    return found.scalar_one_or_none() or ""


async def confirm_states(session: Session, tenant_id: str) -> None:
    """After an import: confirm decisions that Graph shows now, and those that a newer state at Graph overruled."""
    found = await session.execute(
        select(ActionPlan, ImprovementAction.state, ImprovementAction.state_at)
        .join(
            ImprovementAction,
            (ImprovementAction.tenant_id == ActionPlan.tenant_id)
            & (ImprovementAction.control_id == ActionPlan.control_id),
        )
        .where(ActionPlan.tenant_id == tenant_id, ActionPlan.sent_at.is_not(None), ActionPlan.confirmed_at.is_(None))
    )
    for plan, state, state_at in found.all():
        is_shown = status_of_state(state) == plan.status
        overruled = state_at is not None and plan.sent_at is not None and state_at > plan.sent_at
        if is_shown or overruled:
            plan.confirmed_at = clock.now()
