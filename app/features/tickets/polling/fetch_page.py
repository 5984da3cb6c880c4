"""Fetch one page of a table's records through the gateway, and check that it holds what was asked for. Applies nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from app.core.messages import T
from app.features.connection.gateway import ServiceNowClient, call
from app.features.tickets.polling.poll_plan import PollPlan
from app.features.tickets.types import TABLES
from app.integrations.http.errors import QueryIgnored
from app.integrations.servicenow.protocol import SYS_ID, ByIds, Changed
from app.integrations.servicenow.schemas import Listed, RemoteTicket
from app.integrations.servicenow.text_comparison import is_same_text
from app.resources import Resources

# A record of someone else may match our marker in a way that we do not know of, and must not end the following of ours.
# More of them on one page mean that the instance dropped the condition.
MOST_OTHER_ROWS = 20
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
    """Whether the instance did what it was asked: rows asked for; of changed records ours, recent enough and in order.

    An instance drops a condition on a field that it does not know or does not let us query, without an error, and lists
    everything (docs/facts/servicenow.md#trap-6). A few rows of others are let through: they belong to no ticket.
    """
    if isinstance(asked, ByIds):
        return {row.sys_id for row in rows} <= set(asked.sys_ids)
    since, also = asked.since.replace(microsecond=0), set(asked.also)
    rest = [row for row in rows if row.sys_id not in also]
    ours = [row for row in rest if is_same_text(row.correlation_display, asked.marker)]
    if len(rest) - len(ours) > MOST_OTHER_ROWS or not _is_ordered(rows, asked.after):
        return False
    return not any(row.updated_at is not None and row.updated_at < since for row in ours)


def _is_ordered(rows: Sequence[RemoteTicket], after: str) -> bool:
    """Whether the sys_ids rise, after that of the previous page. Imported ones with other signs sort in unknown ways."""
    known = [sys_id for sys_id in (after, *(row.sys_id for row in rows)) if SYS_ID.fullmatch(sys_id)]
    return all(one < next_one for one, next_one in pairwise(known))
