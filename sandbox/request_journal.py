"""Record every received request for tests and for the console. Values of secret fields are removed before storing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

SECRETS = frozenset(
    {
        "client_secret",
        "code",
        "code_verifier",
        "refresh_token",
        "access_token",
        "token",
        "user_password",
        "password",
        "state",
        "mfa_code",
        "ticket",
        "sysparm_ck",
    }
)
# Bounded, so that long runs do not exhaust memory. `counts` covers all requests.
KEPT = 5_000


def redacted(pairs: str) -> str:
    """Return a query or form with secret values replaced, also inside a nested query."""
    return urlencode([(name, _shown(name, value)) for name, value in parse_qsl(pairs, keep_blank_values=True)])


def _shown(name: str, value: str) -> str:
    if name in SECRETS:
        return "…"
    if name in ("goto", "query"):
        head, mark, query = value.partition("?")
        return f"{head}?{redacted(query)}" if mark else redacted(value) if "=" in value else value
    return value


@dataclass(frozen=True)
class JournalEntry:
    """One request and its outcome; `status` is 0 when the connection was dropped. `note`: what the sandbox could not do."""

    method: str
    path: str
    query: str
    status: int
    user: str
    fault: str = ""
    note: str = ""
    body: str = ""
    had_cookies: bool = False
    table: str = ""
    transaction: str = ""
    milliseconds: int = 0
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat()}

    def readable_query(self) -> str:
        """Return the query without percent encoding."""
        return unquote_plus(self.query)

    def matches(self, *, text: str = "", method: str = "", status: str = "", faults: bool = False) -> bool:
        """Return whether the entry passes the filter; `status` is a prefix, ``4`` for all 4xx."""
        return (
            (not text or text.lower() in f"{self.path}?{self.query} {self.body} {self.user} {self.transaction}".lower())
            and (not method or self.method == method)
            and (not status or str(self.status or "dropped").startswith(status))
            and (not faults or bool(self.fault))
        )


class RequestJournal:
    """The newest entries, and counters per kind. Old entries are dropped; counters are kept."""

    def __init__(self) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()

    def write(self, entry: JournalEntry) -> None:
        self._entries.append(entry)
        self.counts["total"] += 1
        self.counts[f"{entry.method} {entry.table or entry.path}"] += 1
        self.counts[f"status {entry.status or 'dropped'}"] += 1

    def clear(self) -> None:
        self._entries.clear()
        self.counts.clear()

    def __iter__(self) -> Iterator[JournalEntry]:
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def newest_first(self) -> list[JournalEntry]:
        return list(reversed(self._entries))
