"""Apply a page of records, one by one where the page as a whole cannot be: one poisonous record must not stop the others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from app.core.logging import get_logger
from app.core.unforeseen import is_unforeseen, kind_of
from app.features.tickets.polling.apply_remote import apply_page
from app.features.tickets.polling.poll_plan import PollPlan
from app.integrations.servicenow.schemas import Listed
from app.resources import Resources

log = get_logger(__name__)


async def apply_each(resources: Resources, plan: PollPlan, page: Listed, requested: Collection[str] = ()) -> bool:
    """Copy the rows of a page into their tickets, each page in one transaction. True when a ticket changed.

    `requested` as in `apply_page`.
    """
    try:
        return await _apply(resources, plan, page, requested)
    except Exception as error:
        if not is_unforeseen(error):
            raise
    shown = {row.sys_id for row in page.rows}
    parts = [(replace(page, rows=[row]), [row.sys_id] if row.sys_id in requested else []) for row in page.rows]
    changed = False
    for part, asked in parts:
        try:
            changed |= await _apply(resources, plan, part, asked)
        except Exception as error:
            if not is_unforeseen(error):
                raise
            log.exception("ticket.poll.record_skipped", record=part.rows[0].sys_id, error=kind_of(error))
    missing = [sys_id for sys_id in requested if sys_id not in shown]
    if missing and not page.unreadable:
        nothing = replace(page, rows=[], total=None if page.total is None else max(page.total - len(shown), 0))
        changed |= await _apply(resources, plan, nothing, missing)
    return changed


async def _apply(resources: Resources, plan: PollPlan, page: Listed, requested: Collection[str]) -> bool:
    async with resources.database.transaction() as session:
        return await apply_page(session, plan.connection_id, plan.kind, plan.names, page, requested)
