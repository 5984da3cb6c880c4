"""Read the records of one table that changed since the watermark, page by page, and apply them to their tickets.

One request per table tells all changes, however many tickets there are, and holds a few records by their ids as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.core import clock
from app.core.messages import T
from app.features.tickets.polling.apply_each import apply_each
from app.features.tickets.polling.fetch_page import fetch_page
from app.features.tickets.polling.poll_plan import PollPlan
from app.features.tickets.types import MARKERS
from app.integrations.http.errors import Forbidden, InvalidResponse, QueryIgnored
from app.integrations.servicenow.protocol import ByIds, Changed
from app.integrations.servicenow.schemas import Listed
from app.integrations.servicenow.text_comparison import is_same_text
from app.resources import Resources

# The default limit is 10000 rows (docs/facts/servicenow.md#2-2-query-parameters), but the JSON of large pages is cut
# when the transaction's quota ends (docs/facts/other-connectors.md#bug-57).
PAGE_SIZE = 1000
# Ends a list that never ends, as where the offset is ignored (docs/facts/other-connectors.md#bug-50).
MOST_PAGES = 100
# When the instance's clock was turned back by more than this since the last poll, changes are requested from an earlier
# moment. Anything less, and the time that an answer takes, is within the plan's overlap.
CLOCK_TURNED_BACK = timedelta(seconds=60)
LACKS_KNOWN_RECORDS = T("ServiceNow’s list of changes lacks records that changed and that it shows us by their ids.")
# A Date header that is off by more than this comes from a cache on the way, not from a clock. Where nothing has shown the
# clock yet, changes are requested from this long before: it covers every time zone that the clock may be set to.
MOST_CLOCK_ERROR = timedelta(days=1)


@dataclass(frozen=True)
class Changes:
    """A list of changes read to its end, with the sys_ids of its rows.

    `clock_ahead`: the instance's clock is ahead of ours by this, or by more.
    """

    applied: bool
    clock_ahead: timedelta
    sys_ids: frozenset[str] = frozenset()


async def poll_changes(resources: Resources, plan: PollPlan) -> Changes | None:
    """None when the instance refuses to list changes. Raises what the gateway raises for everything else."""
    # An instance that refuses the two questions in one may answer the one that cannot be put otherwise.
    attempts = [plan, replace(plan, riders=[])] if plan.riders else [plan]
    for attempt in attempts:
        try:
            changes = await _read_to_end(resources, attempt)
            await _check_against_known(resources, plan, changes)
            return changes
        except (Forbidden, QueryIgnored) as error:
            if error.is_instance_wide:
                raise
    return None


async def _check_against_known(resources: Resources, plan: PollPlan, changes: Changes) -> None:
    """Raises QueryIgnored when the list lacks what ServiceNow shows by id.

    A query on a field that may not be queried can answer 200 without rows instead of an error
    (docs/facts/servicenow.md#2-3-encoded-query), so an empty list is believed only while it lacks no record that we know.
    """
    if not plan.expected or changes.sys_ids & set(plan.expected):
        return
    page = await fetch_page(resources, plan, ByIds(plan.expected))
    for row in page.rows:
        has_marker = is_same_text(row.correlation_display, MARKERS[plan.kind])
        if has_marker and row.updated_at is not None and row.updated_at >= plan.remote_since:
            raise QueryIgnored(LACKS_KNOWN_RECORDS)


async def _read_to_end(resources: Resources, plan: PollPlan) -> Changes:
    page = await _fetch_page(resources, plan, after="", offset=0)
    ahead = clock_ahead(page, clock.now())
    if ahead is None and not plan.is_clock_known:
        plan = replace(plan, since=plan.since - MOST_CLOCK_ERROR)
        page = await _fetch_page(resources, plan, after="", offset=0)
    elif ahead is not None and ahead < plan.clock_ahead - CLOCK_TURNED_BACK:
        plan = replace(plan, clock_ahead=ahead)
        page = await _fetch_page(resources, plan, after="", offset=0)
        ahead = clock_ahead(page, clock.now()) or ahead
    if ahead is None or plan.is_clock_known:
        ahead = min(ahead or plan.clock_ahead, plan.clock_ahead)
    applied, after, offset = False, "", 0
    listed: set[str] = set()
    for _ in range(MOST_PAGES):
        applied |= await apply_each(resources, plan, page)
        listed.update(row.sys_id for row in page.rows)
        if is_last(page, offset):
            return Changes(applied, ahead, frozenset(listed))
        after, offset = next_page(page, after, offset)
        page = await _fetch_page(resources, plan, after=after, offset=offset)
    raise InvalidResponse(T("ServiceNow’s list of changes does not end."))


async def _fetch_page(resources: Resources, plan: PollPlan, *, after: str, offset: int) -> Listed:
    asked = Changed(
        marker=MARKERS[plan.kind],
        since=plan.remote_since,
        also=plan.riders,
        after=after,
        offset=offset,
        limit=PAGE_SIZE,
    )
    return await fetch_page(resources, plan, asked)


def is_last(page: Listed, offset: int) -> bool:
    """Whether nothing is left after this page, which began at `offset` of the rows that its query matches."""
    if len(page.rows) >= PAGE_SIZE:
        return False
    # Access rules remove rows after the limit has cut the page, so a short or empty page can have successors
    # (docs/facts/servicenow.md#trap-14). The count tells; without one, only an empty page ends the list.
    if page.total is None:
        return not page.rows
    return offset + (len(page.rows) or PAGE_SIZE) >= page.total


def next_page(page: Listed, after: str, offset: int) -> tuple[str, int]:
    """`after` and `offset` of the following page.

    Keyset paging leaves no gaps while rows move (docs/facts/servicenow.md#2-3-encoded-query). A page without visible
    rows has no last sys_id, so it is passed by an offset.
    """
    return (page.rows[-1].sys_id, 0) if page.rows else (after, offset + PAGE_SIZE)


def clock_ahead(page: Listed, now: datetime) -> timedelta | None:
    """How far the instance's clock is ahead of ours by the page's Date header; None where that tells nothing."""
    if page.at is None:
        return None
    ahead = page.at - now
    return ahead if abs(ahead) < MOST_CLOCK_ERROR else None
