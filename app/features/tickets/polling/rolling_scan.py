"""Read tickets by their sys_ids, in turn, and mark those that ServiceNow does not show. Looks for no changes.

The safety net of polling: scripts change records without touching sys_updated_on, an instance may refuse to list
changes, and only a request by id notices a record that was deleted or hidden (docs/facts/servicenow.md#trap-33).
"""

from __future__ import annotations

from collections.abc import Collection

from app.core.messages import T
from app.features.tickets.polling.apply_each import apply_each
from app.features.tickets.polling.fetch_page import fetch_page
from app.features.tickets.polling.poll_plan import PollPlan
from app.integrations.http.errors import InvalidResponse
from app.integrations.servicenow.protocol import IDS_PER_CALL, ByIds
from app.resources import Resources

# One or two missing records were deleted. Three or more, and none left, mean that the account lost a role: without any,
# it sees no changes and only its own incidents (docs/facts/servicenow.md#3-6-roles-for-the-integration-user).
SUSPICIOUS_COUNT = 3


class NothingVisible(InvalidResponse):
    """None of several records that were requested by their ids came back."""

    default = T(
        "ServiceNow shows us none of our records any more. Check the roles of the integration user; were the records "
        "deleted, nothing is wrong with the connection."
    )


async def scan(resources: Resources, plan: PollPlan, listed: Collection[str] = ()) -> bool:
    """Read the records of `plan.scan` that are not `listed`: those the list of changes has just held.

    True when a ticket changed. Raises NothingVisible, and what the gateway raises.
    """
    wanted = [sys_id for sys_id in plan.scan if sys_id not in listed]
    changed, shown = False, len(plan.scan) - len(wanted)
    for start in range(0, len(wanted), IDS_PER_CALL):
        requested = wanted[start : start + IDS_PER_CALL]
        # By id is a question for equality, which query ACLs allow where they refuse ranges
        # (docs/facts/servicenow.md#2-3-encoded-query). Other records in the answer raise: then absence proves nothing.
        page = await fetch_page(resources, plan, ByIds(requested))
        shown += len(page.rows) + page.unreadable
        changed |= await apply_each(resources, plan, page, requested)
    if not shown and len(plan.scan) >= SUSPICIOUS_COUNT:
        raise NothingVisible
    return changed
