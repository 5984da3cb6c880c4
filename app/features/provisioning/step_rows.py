"""The stored state of each step: reads and writes rows only."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.core import clock
from app.core.database import Session
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.models import ProvisioningStep

# A check takes a few calls of at most 35 s each; a step that has been running for longer lost its worker.
LOST_AFTER = timedelta(minutes=3)


async def load_rows(session: Session, connection_id: UUID) -> dict[str, ProvisioningStep]:
    """The rows of this connection by step, as the database has them now."""
    query = select(ProvisioningStep).where(ProvisioningStep.connection_id == connection_id)
    found = await session.execute(query.execution_options(populate_existing=True))
    return {row.step: row for row in found.scalars()}


async def set_state(
    session: Session, connection_id: UUID, key: str, state: State, finding: Finding | None = None
) -> None:
    """Upsert the step's row; without a finding, the last one stays, so that a card does not vanish during a check."""
    now = clock.now()
    values: dict[str, object] = {"state": state, "changed_at": now}
    if finding is not None:
        values |= {"finding": finding.to_json(), "checked_at": now}
    row = {"connection_id": connection_id, "step": key, **values}
    await session.execute(
        insert(ProvisioningStep)
        .values(row)
        .on_conflict_do_update(index_elements=["connection_id", "step"], set_=values)
    )


def is_lost(row: ProvisioningStep) -> bool:
    """Whether the step is said to be running and its worker must have died."""
    return row.state == State.RUNNING and row.changed_at < clock.now() - LOST_AFTER


def is_due(row: ProvisioningStep | None, connected_at: datetime) -> bool:
    """Whether the step has not been touched since the connection was made or authorized again.

    The job "provisioning.start" is queued in the transaction that makes a connection, so such a step waits for it.
    """
    return row is None or row.changed_at < connected_at
