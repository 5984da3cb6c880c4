"""Delete what has been kept long enough, in short transactions of a few hundred rows. Deletes nothing that is still in use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from app.core import clock
from app.core.database import Database, Session
from app.core.logging import get_logger
from app.core.queue_rows import delete_failed_jobs
from app.features.accounts.attempt_retention import KEPT_MINUTES, forget_sign_in_attempts
from app.features.accounts.audit_chain import prune_before
from app.features.accounts.session_retention import forget_ended_sessions
from app.features.secure_score.sync.run_retention import forget_old_runs
from app.features.tickets.ticket_retention import forget_closed_tickets
from app.resources import KeptDays, ProductConfig

log = get_logger(__name__)

# Retention: one transaction deletes this many rows, so that it ends within moments and holds no lock for long.
BATCH = 500
# One run deletes this many batches of a kind at most; the next one goes on where it ended.
MOST_BATCHES = 200


class Forget(Protocol):
    """Deletes at most `limit` rows from before `moment`, and returns how many."""

    def __call__(self, session: Session, moment: datetime, *, limit: int) -> Awaitable[int]: ...


@dataclass(frozen=True)
class Rule:
    """One kind of rows and how long they are kept; `age` is None where they are kept for ever."""

    name: str
    forget: Forget
    age: Callable[[KeptDays], timedelta | None]


def _days(of: Callable[[KeptDays], int]) -> Callable[[KeptDays], timedelta | None]:
    return lambda kept: timedelta(days=of(kept)) if of(kept) else None


DAILY = (
    Rule("audit_entries", prune_before, _days(lambda kept: kept.audit)),
    Rule("closed_tickets", forget_closed_tickets, _days(lambda kept: kept.closed_tickets)),
    Rule("import_runs", forget_old_runs, _days(lambda kept: kept.import_runs)),
    Rule("failed_jobs", delete_failed_jobs, _days(lambda kept: kept.failed_jobs)),
)
HOURLY = (
    Rule("sessions", forget_ended_sessions, lambda kept: timedelta(days=kept.sessions)),
    Rule("sign_in_attempts", forget_sign_in_attempts, lambda _kept: timedelta(minutes=KEPT_MINUTES)),
)


async def remove_old(database: Database, config: ProductConfig, rules: tuple[Rule, ...]) -> dict[str, int]:
    """Apply these rules and return how many rows of each kind were deleted."""
    deleted = {rule.name: await _apply(database, config, rule) for rule in rules}
    if any(deleted.values()):
        log.info("retention.deleted", **deleted)
    return deleted


async def count_old(database: Database, config: ProductConfig, rules: tuple[Rule, ...]) -> dict[str, int]:
    """How many rows of each kind one run would delete. Deletes nothing: the transaction is rolled back."""
    counts: dict[str, int] = {}
    for rule in rules:
        age = rule.age(config.kept_days)
        async with database.transaction() as session:
            limit = BATCH * MOST_BATCHES
            counts[rule.name] = 0 if age is None else await rule.forget(session, clock.now() - age, limit=limit)
            await session.rollback()
    return counts


async def _apply(database: Database, config: ProductConfig, rule: Rule) -> int:
    age = rule.age(config.kept_days)
    if age is None:
        return 0
    moment, total = clock.now() - age, 0
    for _ in range(MOST_BATCHES):
        async with database.transaction() as session:
            count = await rule.forget(session, moment, limit=BATCH)
        total += count
        if count < BATCH:
            break
    return total
