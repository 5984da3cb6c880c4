"""The allowed `javascript:gs.…` helpers of an encoded query. Evaluates no other script."""
# See docs/facts/servicenow.md#sandbox-22

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sandbox.servicenow.store import TIME_FORMAT

SCRIPT = re.compile(r"javascript:\s*gs\.(\w+)\((.*)\)\s*;?$", re.S)


@dataclass(frozen=True)
class ScriptUser:
    """The calling user, on whose ID and time zone the helpers depend."""

    user_id: str
    time_zone: str
    now: datetime


def literal(text: str, caller: ScriptUser) -> str:
    """Return a condition's value; a script that is not an allowed helper becomes the empty string."""
    if not text.startswith("javascript:"):
        return text
    found = SCRIPT.match(text)
    if not found:
        return ""
    arguments = [part.strip().strip("'\"") for part in found[2].split(",")] if found[2].strip() else []
    helper = HELPERS.get(found[1])
    try:
        return helper(caller, arguments) if helper else ""
    except (ValueError, IndexError, OverflowError):
        return ""


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


def _midnight(caller: ScriptUser) -> datetime:
    return caller.now.astimezone(ZoneInfo(caller.time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)


def _generate(caller: ScriptUser, arguments: list[str]) -> str:
    # See docs/facts/servicenow.md#2-3-encoded-query and #trap-11: gs.dateGenerate reads the time in the caller's zone. pysnow
    # sends date and time as one argument, the documentation as two.
    # A list's filter names the ends of a day `start` and `end`.
    ends = {"start": "00:00:00", "end": "23:59:59"}
    text = " ".join(ends.get(part, part) for part in arguments[:2])
    local = datetime.strptime(text, TIME_FORMAT).replace(tzinfo=ZoneInfo(caller.time_zone))
    return _utc(local)


HELPERS: dict[str, Callable[[ScriptUser, list[str]], str]] = {
    "getUserID": lambda caller, _: caller.user_id,
    "dateGenerate": _generate,
    "beginningOfToday": lambda caller, _: _utc(_midnight(caller)),
    "beginningOfYesterday": lambda caller, _: _utc(_midnight(caller) - timedelta(days=1)),
    "endOfYesterday": lambda caller, _: _utc(_midnight(caller) - timedelta(seconds=1)),
    "endOfToday": lambda caller, _: _utc(_midnight(caller) + timedelta(days=1, seconds=-1)),
    "daysAgo": lambda caller, a: _utc(caller.now - timedelta(days=int(a[0]))),
    "daysAgoStart": lambda caller, a: _utc(_midnight(caller) - timedelta(days=int(a[0]))),
    "hoursAgo": lambda caller, a: _utc(caller.now - timedelta(hours=int(a[0]))),
    "minutesAgo": lambda caller, a: _utc(caller.now - timedelta(minutes=int(a[0]))),
    "nowDateTime": lambda caller, _: _utc(caller.now),
}
