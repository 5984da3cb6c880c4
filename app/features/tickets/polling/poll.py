"""Poll the states of shared tickets, table by table, and record how far each one has come. Never writes to ServiceNow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.core import clock
from app.core.database import Session
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.core.metrics import POLLS
from app.core.unforeseen import is_unforeseen, kind_of
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import InstancePaused
from app.features.connection.throttle import throttle_of
from app.features.tickets.polling.changed_records import Changes, poll_changes
from app.features.tickets.polling.poll_plan import PollPlan, cursor_of, plan_poll, scans_of
from app.features.tickets.polling.rolling_scan import scan
from app.features.tickets.polling.scan_order import read_longest_ago, states_in_use
from app.integrations.http.errors import RemoteError
from app.resources import Resources

log = get_logger(__name__)

NOT_FORESEEN = T(
    "Something in ServiceNow’s answer could not be taken up, which we did not foresee. Last known states kept; we ask again. "
    "If it stays so, an operator finds ticket.poll.unexpected in the log.",
    code="ticket.poll_unexpected",
)


@dataclass
class _Result:
    """What came of polling one table. `changes` is None where they were not requested, refused, or not read to the end."""

    changes: Changes | None = None
    changed: bool = False
    problem: Message | None = None
    was_refused: bool = False


async def poll_states(resources: Resources) -> None:
    """Poll both tables of the active connection when that is due. Problems are stored for the cards, never raised."""
    async for plan in plan_poll(resources):
        result = await _poll_table(resources, plan)
        POLLS.labels(plan.kind.value, "failed" if result.problem else "read").inc()
        async with resources.database.transaction() as session:
            await _record_result(session, plan, result)


async def _poll_table(resources: Resources, plan: PollPlan) -> _Result:
    result = _Result()
    try:
        if plan.ask_for_changes:
            await _list_changes(resources, plan, result)
        # Also after a refusal: this is how the table's tickets are followed then.
        result.changed = await scan(resources, plan, result.changes.sys_ids if result.changes else ())
        # The instance answers by id, so a list that failed is like one that is refused.
        result.was_refused |= result.problem is not None and bool(plan.scan)
    except (NotConnected, InstancePaused, RemoteError) as error:
        result.problem = error.message
        log.warning("ticket.poll.failed", kind=plan.kind, error=type(error).__name__, reason=str(error.message))
    except Exception as error:
        if not is_unforeseen(error):
            raise
        # The other table goes on, and the card says why this one is old.
        result.problem = NOT_FORESEEN
        log.exception("ticket.poll.unexpected", kind=plan.kind, error=kind_of(error))
    return result


async def _list_changes(resources: Resources, plan: PollPlan, result: _Result) -> None:
    """Raises what stops all calls. Another failure may be the list's alone, as of a query that takes too long there."""
    try:
        result.changes = await poll_changes(resources, plan)
        result.was_refused = result.changes is None
    except RemoteError as error:
        if error.is_instance_wide:
            raise
        result.problem = error.message
        log.warning("ticket.poll.list_failed", kind=plan.kind, error=type(error).__name__, reason=str(error.message))


async def _record_result(session: Session, plan: PollPlan, result: _Result) -> None:
    """Move the cursor, for the cards and for the next poll."""
    # The throttle's row comes before the cursor's. The order of locks is written down in connection/throttle.py.
    throttle = await throttle_of(session, plan.connection_id) if result.changes else None
    cursor = await cursor_of(session, plan.connection_id, plan.kind)
    cursor.problem = result.problem.to_json() if result.problem else None
    if result.was_refused:
        cursor.changes_refused += 1
        cursor.changes_refused_at = clock.now()
    if throttle is not None and result.changes is not None:
        # The smallest value that was seen: requesting changes from too early costs rows, from too late it loses some.
        seconds = result.changes.clock_ahead.total_seconds()
        known = throttle.clock_ahead_seconds
        throttle.clock_ahead_seconds = seconds if known is None else min(known, seconds)
        # Only now: a list that broke off is requested again from the same moment (docs/facts/other-connectors.md#bug-56).
        cursor.watermark = plan.asked_at
        cursor.changes_refused = 0
    if result.problem is None:
        cursor.succeeded_at = plan.asked_at if result.changes else await _oldest_read(session, plan)
    if result.changed or (result.changes and result.changes.applied):
        cursor.last_change_at = clock.now()


async def _oldest_read(session: Session, plan: PollPlan) -> datetime:
    """How old the data is where changes are not listed: as old as the followed ticket that was read longest ago."""
    in_state = await states_in_use(session, plan.connection_id, plan.kind)
    followed = scans_of(plan.connection_id, plan.kind, in_state, plan.closed_values).followed
    oldest = await read_longest_ago(session, followed, 1)
    return (oldest[0].verified_at if oldest else None) or clock.now()
