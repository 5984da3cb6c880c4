"""Faults that strike a counted number of times, with a probability if wanted, at a place. Orders trouble; makes none."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

# Where a fault strikes: before anything is stored, after it is stored, or after the answer's first bytes.
BEFORE, AFTER, MIDWAY = "before", "after", "midway"
ANYWHERE = (BEFORE, AFTER, MIDWAY)
EITHER = (BEFORE, AFTER)


@dataclass(frozen=True)
class FaultKind:
    """One kind of trouble: its number in the fact sheet, what the console says, and where it can strike.

    The first place is the natural one; READS_AFTER means after for what changes nothing, and before for what does.
    """

    number: str
    text: str
    places: tuple[str, ...] = EITHER


FAULTS: dict[str, FaultKind] = {
    "rate_limited": FaultKind("42", "429 with X-RateLimit headers and Retry-After"),
    "semaphore_full": FaultKind("42", "429 without any header"),
    "cancelled_after_commit": FaultKind(
        "43", "500 maximum execution time exceeded; the insert was committed", (AFTER, BEFORE)
    ),
    "partial_result": FaultKind("44", "200 with a partial result and an error"),
    "broken_json": FaultKind("44", "200 with broken JSON"),
    "refused_after_commit": FaultKind("45", "403 although the insert was committed", (AFTER, BEFORE)),
    "hibernating": FaultKind("46", "Hibernation page with status 200"),
    "hibernating_503": FaultKind("46", "Hibernation page with status 503"),
    "sso_page": FaultKind("46", "Single sign-on page with status 200"),
    "sso_redirect": FaultKind("46", "Redirect to the sign-in page"),
    "bad_gateway": FaultKind("46", "502 as a web page"),
    "unavailable": FaultKind("46", "503 as a web page"),
    "strange_page": FaultKind("46", "404 as a web page: something else answers in the instance's place"),
    "ip_blocked": FaultKind("47", "403 without JSON"),
    "dropped": FaultKind("48", "Connection dropped, before, after or in the middle", (AFTER, BEFORE, MIDWAY)),
    "dropped_after_commit": FaultKind("48", "Connection dropped after the work was done", (AFTER, MIDWAY)),
    "dropped_before": FaultKind("48", "Connection dropped before any work was done", (BEFORE,)),
    "slow": FaultKind("48", "The answer comes later than a client waits", (AFTER, BEFORE, MIDWAY)),
    "acl_hiccup": FaultKind("49", "403 Failed API level ACL Validation"),
    "record_deleted": FaultKind("50", "A ticket of the table is deleted"),
    "record_hidden": FaultKind("50", "A ticket of the table is hidden from everybody"),
    "session_overflow": FaultKind("38", "202 without doing anything", (BEFORE, AFTER)),
    "signed_out": FaultKind("17", "401 although the token is good"),
    "missing": FaultKind("27", "404 although the record is there"),
    "not_created": FaultKind("19", "200 in place of 201; the insert was committed", (AFTER,)),
}
# Those that a run "under every fault" draws from: behaviours 42 to 49.
MIXED_FAULTS = (
    "rate_limited", "semaphore_full", "cancelled_after_commit", "partial_result", "broken_json",
    "refused_after_commit", "hibernating", "hibernating_503", "sso_page", "bad_gateway", "dropped", "acl_hiccup",
)  # fmt: skip
MOST = 1_000_000


@dataclass
class Fault:
    """One order: what strikes which calls, how often, how likely and where.

    `among` draws one of several kinds for each strike (`name` is then "any", and without a list it is STORM); `place`
    "any" draws one of the kind's places. Every draw comes from `seed`, so that a run can be repeated. `every` 10
    strikes each tenth fitting call. `seconds` is how long a slow answer takes, `retry_after` what a 429 says (any text,
    also a date; "" says nothing), and `number` names the record that 50 takes away.
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
        if self.place not in ("", "any", *ANYWHERE):
            raise ValueError("place is before, after, midway or any")
        if not 1 <= self.times <= MOST:
            raise ValueError(f"times must be between 1 and {MOST}")
        if self.every < 1:
            raise ValueError("every is at least 1")
        if not 0 < self.probability <= 1:
            raise ValueError("probability must be above 0 and at most 1")
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"path is a regular expression: {error}") from error

    def is_due(self) -> bool:
        """Whether it strikes this one of the calls that fit."""
        self.seen += 1
        return self.seen % self.every == 0 and self.draw.random() < self.probability

    def fits(self, method: str, path: str, table: str) -> bool:
        """Whether this call is one it waits for."""
        return (
            (not self.method or self.method == method)
            and (not self.path or re.search(self.path, path) is not None)
            and (not self.table or self.table == table)
        )

    def strike(self) -> Fault:
        """What happens this time: a kind and a place of it."""
        name = self.draw.choice(self.among) if self.among else self.name
        places = FAULTS[name].places
        wanted = self.draw.choice(places) if self.place == "any" else self.place
        place = wanted if wanted in places else ""
        return replace(self, name=name, place=place, among=(), times=1)

    def as_json(self) -> dict[str, Any]:
        """For tests that ask over HTTP."""
        return {name: value for name, value in vars(self).items() if name != "draw"}


class FaultOrders:
    """The faults ordered and not yet used up, oldest first; and what struck so far."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []
        self.struck: Counter[str] = Counter()
        self._lock = Lock()

    def order(self, fault: Fault) -> None:
        """Add one."""
        with self._lock:
            self.waiting.append(fault)

    def cancel(self) -> None:
        """Forget all that wait."""
        with self._lock:
            self.waiting.clear()

    def take(self, method: str, path: str, table: str = "") -> Fault | None:
        """The fault that strikes this call, counted down; None for a quiet call."""
        with self._lock:
            for fault in self.waiting:
                if not fault.fits(method, path, table) or not fault.is_due():
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                strike = fault.strike()
                self.struck[strike.name] += 1
                return strike
        return None
