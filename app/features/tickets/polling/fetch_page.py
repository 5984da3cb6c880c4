"""Fetch one page of a table's records through the gateway, and check that it holds what was asked for. Applies nothing."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.messages import T
from app.features.connection.gateway import ServiceNowClient, call
from app.features.tickets.polling.poll_plan import PollPlan
from app.features.tickets.types import TABLES
from app.integrations.http.errors import QueryIgnored
from app.integrations.servicenow.protocol import ByIds, Changed
from app.integrations.servicenow.schemas import Listed, RemoteTicket
from app.resources import Resources

OTHER_RECORDS = T("ServiceNow ignored what it was asked for and listed other records.")


async def fetch_page(resources: Resources, plan: PollPlan, asked: Changed | ByIds) -> Listed:
    """One page of the plan's table. Raises QueryIgnored when a row is not what was asked for, and what the gateway raises."""

    async def fetch(client: ServiceNowClient) -> Listed:
        return await client.fetch_page(TABLES[plan.kind], asked)

    page = await call(resources, fetch, connection_id=plan.connection_id)
    if not fits(page.rows, asked):
        raise QueryIgnored(OTHER_RECORDS)
    return page


def fits(rows: Sequence[RemoteTicket], asked: Changed | ByIds) -> bool:
    """Whether every row was asked for; of changed records, whether it is ours, recent enough and in order of its sys_id.

    An instance drops a condition on a field that it does not know or does not let us query, without an error, and lists
    everything (docs/facts/servicenow.md#trap-6). Such rows prove nothing and must not end up in a ticket.
    """
    if isinstance(asked, ByIds):
        return {row.sys_id for row in rows} <= set(asked.sys_ids)
    since, last = asked.since.replace(microsecond=0), asked.after
    for row in rows:
        is_too_old = row.updated_at is not None and row.updated_at < since
        if is_too_old or row.sys_id <= last or not _is_ours(row, asked):
            return False
        last = row.sys_id
    return True


def _is_ours(row: RemoteTicket, asked: Changed) -> bool:
    if row.correlation_display == asked.marker:
        return True
    # ServiceNow compares texts without regard to case (docs/facts/servicenow.md#2-3-encoded-query).
    return bool(asked.created_by) and row.values.get("sys_created_by", "").lower() == asked.created_by.lower()
