"""Faults of the ServiceNow sandbox: what to inject, into which calls, how often and at which point. Injects nothing itself."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

# The point at which a fault is injected: before the work is done, after it is done, or after the response's first bytes.
BEFORE, AFTER, MIDWAY = "before", "after", "midway"
ALL_PLACES = (BEFORE, AFTER, MIDWAY)
BEFORE_OR_AFTER = (BEFORE, AFTER)


@dataclass(frozen=True)
class FaultKind:
    """Description of a fault: the ID of its fact, its console text, its places (default first)."""

    number: str
    text: str
    places: tuple[str, ...] = BEFORE_OR_AFTER


FAULTS: dict[str, FaultKind] = {
    # Refused at the door, before any work: docs/facts/servicenow.md#5-limits-failures-sleeping-instances
    "rate_limited": FaultKind("sandbox-42", "429 with X-RateLimit headers and Retry-After", (BEFORE,)),
    "semaphore_full": FaultKind("sandbox-42", "429 without any header", (BEFORE,)),
    "cancelled_after_commit": FaultKind(
        "sandbox-43", "500 maximum execution time exceeded; the insert was committed", (AFTER, BEFORE)
    ),
    "partial_result": FaultKind("sandbox-44", "200 with a partial result and an error"),
    "broken_json": FaultKind("sandbox-44", "200 with broken JSON"),
    "refused_after_commit": FaultKind("sandbox-45", "403 although the insert was committed", (AFTER, BEFORE)),
    "hibernating": FaultKind("sandbox-46", "Hibernation page with status 200"),
    "hibernating_503": FaultKind("sandbox-46", "Hibernation page with status 503"),
    "sso_page": FaultKind("sandbox-46", "Single sign-on page with status 200"),
    "sso_redirect": FaultKind("sandbox-46", "Redirect to the sign-in page"),
    "bad_gateway": FaultKind("sandbox-46", "502 as a web page"),
    "unavailable": FaultKind("sandbox-46", "503 as a web page"),
    "strange_page": FaultKind("sandbox-46", "404 as a web page: something else answers in the instance's place"),
    "ip_blocked": FaultKind("sandbox-47", "403 without JSON"),
    "dropped": FaultKind("sandbox-48", "Connection dropped, before, after or in the middle", (AFTER, BEFORE, MIDWAY)),
    "dropped_after_commit": FaultKind("sandbox-48", "Connection dropped after the work was done", (AFTER, MIDWAY)),
    "dropped_before": FaultKind("sandbox-48", "Connection dropped before any work was done", (BEFORE,)),
    "slow": FaultKind("sandbox-48", "The answer comes later than a client waits", (AFTER, BEFORE, MIDWAY)),
    "acl_hiccup": FaultKind("sandbox-49", "403 Failed API level ACL Validation"),
    "record_deleted": FaultKind("sandbox-50", "A ticket of the table is deleted"),
    "record_hidden": FaultKind("sandbox-50", "A ticket of the table is hidden from everybody"),
    "session_overflow": FaultKind("sandbox-38", "202 without doing anything", (BEFORE, AFTER)),
    "signed_out": FaultKind("sandbox-17", "401 although the token is good"),
    "missing": FaultKind("sandbox-27", "404 although the record is there"),
    "not_created": FaultKind("sandbox-19", "200 in place of 201; the insert was committed", (AFTER,)),
}
# Pool of the fault "any": docs/facts/servicenow.md#sandbox-42 to #sandbox-49.
MIXED_FAULTS = (
    "rate_limited", "semaphore_full", "cancelled_after_commit", "partial_result", "broken_json",
    "refused_after_commit", "hibernating", "hibernating_503", "sso_page", "bad_gateway", "dropped", "acl_hiccup",
)  # fmt: skip
MAX_TIMES = 1_000_000


@dataclass
class Fault:
    """An order to inject a fault: which calls, how many times, with which probability, at which place.

    `among`: draw one of these kinds per injection. The name "any" without a list draws from MIXED_FAULTS.
    `place`: before, after or midway; "any" draws one of the kind's places; "" is the kind's default.
    `every`: apply to each n-th matching call. `probability`: 0 to 1. All draws come from `seed`, so a run is repeatable.
    `seconds`: delay of a slow response. `retry_after`: header of a 429, any text; "" omits it.
    `number`: ticket that record_deleted and record_hidden remove; "" is a random one.
    """

    name: str
    times: int = 1
    method: str = ""
    path: str = ""
    table: str = ""
    place: str = ""
    probability: float = 1.0
    seed: int = 0
    among: tuple[str, ...] = ()
    seconds: float = 45.0
    retry_after: str = "7"
    number: str = ""
    every: int = 1
    seen: int = 0
    draw: random.Random = field(default_factory=random.Random, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.among = tuple(self.among) or (MIXED_FAULTS if self.name == "any" else ())
        self.draw = random.Random(self.seed)  # noqa: S311 - repeatable on purpose.
        for name in self.among or (self.name,):
            if name not in FAULTS:
                raise ValueError(f"there is no fault named {name}")
            if self.place not in ("", "any", *FAULTS[name].places) and not self.among:
                raise ValueError(f"{name} strikes {' or '.join(FAULTS[name].places)}")
        if self.place not in ("", "any", *ALL_PLACES):
            raise ValueError("place is before, after, midway or any")
        if not 1 <= self.times <= MAX_TIMES:
            raise ValueError(f"times must be between 1 and {MAX_TIMES}")
        if self.every < 1:
            raise ValueError("every is at least 1")
        if not 0 < self.probability <= 1:
            raise ValueError("probability must be above 0 and at most 1")
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"path is a regular expression: {error}") from error

    def is_due(self) -> bool:
        """Count one matching call and return whether the fault applies to it."""
        self.seen += 1
        return self.seen % self.every == 0 and self.draw.random() < self.probability

    def matches(self, method: str, path: str, table: str) -> bool:
        """Return whether the fault was ordered for calls like this one."""
        return (
            (not self.method or self.method == method)
            and (not self.path or re.search(self.path, path) is not None)
            and (not self.table or self.table == table)
        )

    def draw_injection(self) -> Fault:
        """Return this injection: one kind and one place, drawn from `among` and the kind's places where asked for."""
        name = self.draw.choice(self.among) if self.among else self.name
        places = FAULTS[name].places
        wanted = self.draw.choice(places) if self.place == "any" else self.place
        place = wanted if wanted in places else ""
        return replace(self, name=name, place=place, among=(), times=1)

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "draw"}


class FaultOrders:
    """The ordered faults that are not used up, oldest first, and how often each kind was injected."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []
        self.struck: Counter[str] = Counter()
        self._lock = Lock()

    def order(self, fault: Fault) -> None:
        with self._lock:
            self.waiting.append(fault)

    def cancel(self) -> None:
        with self._lock:
            self.waiting.clear()

    def take(self, method: str, path: str, table: str = "") -> Fault | None:
        """Return the fault for this call, counted down, or None."""
        with self._lock:
            for fault in self.waiting:
                if not fault.matches(method, path, table) or not fault.is_due():
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                injection = fault.draw_injection()
                self.struck[injection.name] += 1
                return injection
        return None
