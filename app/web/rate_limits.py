"""How often a person, or a visitor's address, may do what costs something. Counted in this process; sends and stores nothing.

Each web process counts for itself: with three of them, a person whose requests are spread may do three times as much. That
is enough against a script, and needs no store that all of them depend on.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from typing import Any

from fastapi import Depends, Request
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from app.core import clock
from app.core.errors import AppError
from app.core.messages import T
from app.web.dependencies import OptionalViewer, address_of, asked_within, find_signed_in

# Per minute: high enough that no one meets a limit by hand, low enough that a script does no harm.
LIMITS: dict[str, RateLimitItem] = {
    # By address: a whole company may stand behind one, and signs in at nine o'clock. Each attempt is a row in the database.
    "sign_in": RateLimitItemPerMinute(120),
    # As often as sign-ins, and once more for those who go back. Each asks Entra ID or ServiceNow, or reads the attempts.
    "callback": RateLimitItemPerMinute(240),
    # Wrong tokens only, by address. A widget that asks with a good one is never stopped.
    "status_token": RateLimitItemPerMinute(30),
    # A ticket in ServiceNow each: forms, by hand, one in two seconds.
    "share": RateLimitItemPerMinute(30),
    # Sending what was held again, and notes: the same.
    "retry": RateLimitItemPerMinute(30),
    "note": RateLimitItemPerMinute(30),
    # Up to 1,000 tickets each (MOST_AT_ONCE), so that few are needed.
    "share_bulk": RateLimitItemPerMinute(10),
    # Some twenty requests to ServiceNow each, in the worker. One is under way at most, so this bounds what the log gets.
    "check": RateLimitItemPerMinute(60),
    # One of those steps alone.
    "check_step": RateLimitItemPerMinute(30),
    # Reads the tenant's whole Secure Score.
    "sync": RateLimitItemPerMinute(6),
    # Calls ServiceNow while the browser waits: connecting, and looking up records while a name is typed.
    "connect": RateLimitItemPerMinute(30),
    "look_up": RateLimitItemPerMinute(120),
    # Whole tables as a file, or a support bundle.
    "export": RateLimitItemPerMinute(60),
    # Everything else that is posted: two in a second, for minutes.
    "write": RateLimitItemPerMinute(120),
}
# Counts kept at most, some 2 MB. Beyond, the oldest is forgotten: better a script that gets on than a memory that is full.
MOST_COUNTS = 10_000
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class TooManyRequests(AppError):
    """More than a limit allows. `seconds` is how long to wait; `limit` names the limit, once per window, for the log."""

    status = 429

    def __init__(self, seconds: int, *, limit: str = "") -> None:
        super().__init__(
            T(
                "This was asked for more often than we allow within a minute. Nothing was sent and nothing is lost: wait "
                "%(seconds)s seconds and try again.",
                seconds=seconds,
            )
        )
        self.seconds, self.limit = seconds, limit

    @property
    def headers(self) -> dict[str, str]:
        """RFC 6585 4, RFC 9110 10.2.3."""
        return {"Retry-After": str(self.seconds)}


class BoundedCounts(Storage):
    """Counts in memory, of which there are never more than MOST_COUNTS.

    The library's own storage in memory has no such bound, and starts a thread for each sweep.
    """

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        # {key: (count, moment in seconds at which it ends)}, the one begun first in front.
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        count, ends = self._counts.get(key, (0, 0.0))
        if ends <= (now := clock.now().timestamp()):
            self._counts.pop(key, None)
            count, ends = 0, now + expiry
        self._counts[key] = (count + amount, ends)
        while len(self._counts) > MOST_COUNTS:
            self._counts.popitem(last=False)
        return count + amount

    def get(self, key: str) -> int:
        count, ends = self._counts.get(key, (0, 0.0))
        return count if ends > clock.now().timestamp() else 0

    def get_expiry(self, key: str) -> float:
        return self._counts.get(key, (0, clock.now().timestamp()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        held = len(self._counts)
        self._counts.clear()
        return held

    def clear(self, key: str) -> None:
        self._counts.pop(key, None)


class RateLimits:
    """The counts of one web application."""

    def __init__(self) -> None:
        self._counts = BoundedCounts()
        self._limiter = FixedWindowRateLimiter(self._counts)

    def count(self, name: str, who: str) -> None:
        """Count one more. Raises TooManyRequests beyond the limit of this name."""
        item = LIMITS[name]
        if not self._limiter.hit(item, name, who):
            raise self._refusal(item, name, who)

    def _refusal(self, item: RateLimitItem, name: str, who: str) -> TooManyRequests:
        left = self._limiter.get_window_stats(item, name, who).reset_time - clock.now().timestamp()
        is_first = self._counts.get(item.key_for(name, who)) == item.amount + 1
        return TooManyRequests(max(math.ceil(left), 1), limit=name if is_first else "")


def rate_limits(request: Request) -> RateLimits:
    """The counts of the application that answers this request."""
    found: RateLimits = request.app.state.rate_limits
    return found


def visitor(request: Request) -> str:
    """The browser's address as it is counted."""
    address = address_of(request)
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "address unknown"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        # One subscriber has at least this many addresses: RFC 6177.
        return f"address {ipaddress.ip_network((parsed, 64), strict=False)}"
    return f"address {getattr(parsed, 'ipv4_mapped', None) or parsed}"


class Limited:
    """A dependency that counts a request by its person, or by its address while no one is signed in.

    Raises TooManyRequests; with `keeps_form` it returns it instead, for a handler that shows what was typed again.
    """

    def __init__(self, name: str, *, keeps_form: bool = False) -> None:
        self.name = name
        self._keeps_form = keeps_form

    async def __call__(self, request: Request, viewer: OptionalViewer) -> TooManyRequests | None:
        who = visitor(request) if viewer is None else f"person {viewer.person_id}"
        # A form that is shown within another request is shown by a POST at most, and may look up records: nothing else is done.
        name = "look_up" if asked_within(request) else self.name
        try:
            rate_limits(request).count(name, who)
        except TooManyRequests as refused:
            if self._keeps_form:
                return refused
            raise
        return None


class LimitedByAddress:
    """A dependency that counts a request by its address, also while a person is signed in. Raises TooManyRequests."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, request: Request) -> None:
        rate_limits(request).count(self.name, visitor(request))


class LimitedWrites(Limited):
    """The limit that every page has: counts requests that may change something, and no others."""

    def __init__(self) -> None:
        super().__init__("write")

    # Who it is, is asked for a write alone: what only reads may need no database, as the probe for liveness.
    async def __call__(self, request: Request) -> TooManyRequests | None:  # type: ignore[override]
        if request.method in SAFE_METHODS:
            return None
        return await super().__call__(request, await find_signed_in(request))


def limited(name: str) -> Any:  # noqa: ANN401 - FastAPI's own type for it.
    """For `dependencies=[…]` of a route: at most as often as LIMITS says, by person."""
    return Depends(Limited(name))


def limited_by_address(name: str) -> Any:  # noqa: ANN401 - FastAPI's own type for it.
    """The same by address: for routes that no session is needed for, and that a session should not free."""
    return Depends(LimitedByAddress(name))
