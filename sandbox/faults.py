"""Switches that change how the stand-in behaves, and faults that strike a counted number of times. Orders trouble only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Switches:
    """Lasting behaviour, each (S) of the fact sheet; numbers in comments are the fact sheet's."""

    state_required: bool = True  # 2
    refuse_url_parameters: bool = True  # 9
    scope_is_empty: bool = False  # 10
    refresh_omits_token: bool = False  # 11
    refresh_rotates_token: bool = False  # 11
    same_token_while_valid: bool = True  # 12
    old_401_wording: bool = True  # 17
    strict_queries: bool = False  # 21
    keep_change_priority: bool = True  # 31
    close_fields_required: bool = True  # 32
    check_transitions: bool = True  # 33
    truncate_long_text: bool = True  # 35
    choices_need_role: bool = True  # 36
    properties_readable: bool = True  # 37
    session_cookies: bool = True  # 38
    unreadable_fields: str = ""  # 28: comma list, e.g. "priority,due_date"
    api_asleep: bool = False  # 46: every API answer is the hibernation page with status 200

    def change(self, wanted: dict[str, Any]) -> None:
        """Set some; unknown names and wrong types are refused with ValueError."""
        known = {item.name for item in fields(self)}
        for name, value in wanted.items():
            if name not in known:
                raise ValueError(f"there is no switch named {name}")
            if type(value) is not type(getattr(self, name)):
                raise ValueError(f"{name} takes a {type(getattr(self, name)).__name__}")
            setattr(self, name, value)


# name: what the person in front of the console reads
FAULTS = {
    "rate_limited": "42 – 429 with X-RateLimit headers and Retry-After",
    "semaphore_full": "42 – 429 without any header",
    "cancelled_after_commit": "43 – 500 after the insert was committed",
    "partial_result": "44 – 200 with a partial result and an error",
    "broken_json": "44 – 200 with broken JSON",
    "refused_after_commit": "45 – 403 after the insert was committed",
    "hibernating": "46 – hibernation page with status 200",
    "hibernating_503": "46 – hibernation page with status 503",
    "sso_page": "46 – single sign-on page with status 200",
    "bad_gateway": "46 – 502 as a web page",
    "ip_blocked": "47 – 403 without JSON",
    "dropped_after_commit": "48 – connection dropped after the work was done",
    "dropped_before": "connection dropped before any work was done",
    "slow": "48 – the answer comes later than a client waits",
    "acl_hiccup": "49 – 403 Failed API level ACL Validation",
    "session_overflow": "38 – 202 without doing anything",
}


@dataclass
class Fault:
    """One kind of trouble for the next `times` calls whose method and path fit."""

    name: str
    times: int = 1
    method: str = ""
    path: str = ""
    seconds: float = 45.0

    def fits(self, method: str, path: str) -> bool:
        """Whether this call is one it waits for."""
        return (not self.method or self.method == method) and (not self.path or re.search(self.path, path) is not None)


@dataclass
class Orders:
    """The faults ordered and not yet used up, oldest first."""

    waiting: list[Fault] = field(default_factory=list)

    def order(self, fault: Fault) -> None:
        """Add one. Raises ValueError for a name we do not know or a count without end."""
        if fault.name not in FAULTS:
            raise ValueError(f"there is no fault named {fault.name}")
        if not 1 <= fault.times <= 10_000:
            raise ValueError("times must be between 1 and 10000")
        self.waiting.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this call, counted down; None for a quiet call."""
        for fault in self.waiting:
            if fault.fits(method, path):
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None
