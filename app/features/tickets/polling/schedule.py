"""When ticket states are polled, and from which age on they need an explanation. Reads and writes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

# The queue starts a poll at every minute; a poll that is not due does nothing.
POLL_INTERVAL = timedelta(minutes=1)
# While no ticket changes and no page is viewed, requests are saved: an instance's rate limits count them by the hour
# (docs/facts/servicenow.md#5-limits-failures-sleeping-instances).
QUIET_INTERVAL = timedelta(minutes=5)
QUIET_AFTER_CHANGE = timedelta(minutes=30)
QUIET_AFTER_VIEW = timedelta(minutes=10)
# A poll starts some seconds after its minute. Without a tolerance the fifth one would count as too early.
TOLERANCE = timedelta(seconds=10)
# Data is never older than this while all goes well: a quiet interval, the minute in which the next poll starts, and
# another minute for a poll that takes long.
STATES_STALE_AFTER = QUIET_INTERVAL + 2 * POLL_INTERVAL

# A view is recorded at most once a minute, because a page that is left open refreshes its cards every 15 seconds.
VIEW_RECORDED_EVERY = timedelta(minutes=1)
# After a pause of this length a view starts a poll at once, instead of waiting for the next full minute.
POLL_ON_VIEW_AFTER = timedelta(minutes=2)


def is_due(
    now: datetime,
    *,
    tried_at: datetime | None,
    last_change_at: datetime | None,
    last_shared_at: datetime | None,
    last_viewed_at: datetime | None,
) -> bool:
    """Each minute while tickets change or pages are viewed, else every QUIET_INTERVAL."""
    if tried_at is None or now - tried_at >= QUIET_INTERVAL - TOLERANCE:
        return True
    if any(moment and now - moment < QUIET_AFTER_CHANGE for moment in (last_change_at, last_shared_at)):
        return True
    return last_viewed_at is not None and now - last_viewed_at < QUIET_AFTER_VIEW
