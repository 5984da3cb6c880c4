"""Every request received, for tests and for the console; secrets are cut out before anything is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

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
    }
)
KEPT = 500


def without_secrets(pairs: str) -> str:
    """A query or form with the values of secret fields cut out."""
    return urlencode(
        [(name, "…" if name in SECRETS else value) for name, value in parse_qsl(pairs, keep_blank_values=True)]
    )


@dataclass(frozen=True)
class Entry:
    """One request and what came of it; `status` is 0 when the connection was dropped."""

    method: str
    path: str
    query: str
    status: int
    user: str
    fault: str = ""
    body: str = ""
    had_cookies: bool = False
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_json(self) -> dict[str, Any]:
        """For tests that ask over HTTP."""
        return {**asdict(self), "at": self.at.isoformat()}


class Journal:
    """The newest requests; old ones are forgotten."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)

    def write(self, entry: Entry) -> None:
        """Add one."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries))

    def newest_first(self) -> list[Entry]:
        """For the console."""
        return list(reversed(self._entries))
