"""Write a refusal into the audit log, for a person who is known. Bounded, so that refused requests cannot flood the log."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from uuid import UUID

from app.core import clock
from app.core.database import Database
from app.core.database_trouble import DATABASE_ERRORS
from app.core.logging import escape, get_logger
from app.core.messages import T
from app.features.accounts.asked import ask
from app.features.accounts.audit import Actor, log_action
from app.features.accounts.permissions import Viewer
from app.resources import Resources

log = get_logger(__name__)

# A person who follows a few wrong links is written down whole; a script is written down as one.
MOST_PER_MINUTE = 10
MINUTE = timedelta(minutes=1)
# People whose minute is remembered. The oldest is forgotten first, so that memory is bounded.
MOST_PEOPLE = 1000
LONGEST_CAUSE = 200

REFUSED = T("Refused")
MORE_REFUSED = T("More was refused")


class RefusalBudget:
    """How many refusals of each person this process has written down in the minute that runs."""

    def __init__(self) -> None:
        self._minutes: OrderedDict[UUID | None, tuple[datetime, int]] = OrderedDict()

    def count(self, person_id: UUID | None) -> int:
        """The number of this refusal within the person's minute, from 1."""
        since, number = self._minutes.pop(person_id, (clock.now(), 0))
        if clock.now() - since >= MINUTE:
            since, number = clock.now(), 0
        self._minutes[person_id] = (since, number + 1)
        if len(self._minutes) > MOST_PEOPLE:
            self._minutes.popitem(last=False)
        return number + 1


# One for each process: asking the database would make each refused request cost more.
BUDGET = RefusalBudget()


async def find_person(resources: Resources, token: str | None, address: str) -> Viewer | None:
    """Who holds this session; None also while the database does not answer, so that a refusal stays a refusal."""
    if not token:
        return None
    try:
        # What was refused is no doing of the person's, so it does not put off the end of the session.
        asked = await ask(resources, token, address=address, used=False)
    except DATABASE_ERRORS as error:
        log.warning("audit.person_not_read", error=type(error).__name__)
        return None
    return asked.viewer if asked else None


async def note_refusal(
    database: Database, who: Actor, kind: str, cause: str, *, route: str, method: str, budget: RefusalBudget = BUDGET
) -> None:
    """Write an entry in a transaction of its own. Never raises for the database: the refusal itself must reach the browser.

    After MOST_PER_MINUTE entries of a person, one says that there were more, and the rest of that minute is in the log only.
    """
    number = budget.count(who.person_id)
    if number > MOST_PER_MINUTE + 1:
        return
    try:
        async with database.transaction() as session:
            if number > MOST_PER_MINUTE:
                await log_action(session, who, MORE_REFUSED, within="a minute")
                return
            why = escape(cause)[:LONGEST_CAUSE]
            await log_action(session, who, REFUSED, what=kind, cause=why, route=route, method=method)
    except DATABASE_ERRORS as error:
        log.warning("audit.refusal_not_written", error=type(error).__name__)
