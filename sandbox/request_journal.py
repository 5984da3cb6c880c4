"""Every request received, for tests and for the console; secrets are cut out before anything is kept."""

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
KEPT = 5_000


def redacted(pairs: str) -> str:
    """A query or form with the values of secret fields cut out; a query inside a value is looked through as well."""
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
    """One request and what came of it; `status` is 0 when the connection was dropped."""

    method: str
    path: str
    query: str
    status: int
    user: str
    fault: str = ""
    body: str = ""
    had_cookies: bool = False
    table: str = ""
    transaction: str = ""
    milliseconds: int = 0
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_json(self) -> dict[str, Any]:
        """For tests that ask over HTTP."""
        return {**asdict(self), "at": self.at.isoformat()}

    def readable_query(self) -> str:
        """For people: without the percent signs."""
        return unquote_plus(self.query)

    def fits(self, *, text: str = "", method: str = "", status: str = "", faults: bool = False) -> bool:
        """Whether the console's filter shows it; `status` may be a whole class such as ``4``."""
        return (
            (not text or text.lower() in f"{self.path}?{self.query} {self.body} {self.user} {self.transaction}".lower())
            and (not method or self.method == method)
            and (not status or str(self.status or "dropped").startswith(status))
            and (not faults or bool(self.fault))
        )


class RequestJournal:
    """The newest requests, and how many there were of each kind; old requests are forgotten, counts are not."""

    def __init__(self) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()

    def write(self, entry: JournalEntry) -> None:
        """Add one."""
        self._entries.append(entry)
        self.counts["total"] += 1
        self.counts[f"{entry.method} {entry.table or entry.path}"] += 1
        self.counts[f"status {entry.status or 'dropped'}"] += 1

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self.counts.clear()

    def __iter__(self) -> Iterator[JournalEntry]:
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def newest_first(self) -> list[JournalEntry]:
        """For the console."""
        return list(reversed(self._entries))
