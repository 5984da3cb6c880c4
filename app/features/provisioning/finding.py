"""What a check found: what it means, the screen to look at in ServiceNow, and the words to send to its administrator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.core.messages import Message, T


class State(StrEnum):
    """`NOTE` is worth knowing and stops nothing; `UNKNOWN` cannot be known by looking; `SKIPPED` waits for another."""

    WAITING = "waiting"
    RUNNING = "running"
    GOOD = "good"
    NOTE = "note"
    UNKNOWN = "unknown"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    `key` names it for tests, the support bundle and the command line. `checked` is what was looked at, `meaning` what
    came of it, `advice` what to do, `screen` where in ServiceNow, and `message` what to send to its administrator.
    """

    key: str
    state: State
    checked: Message
    meaning: Message
    advice: Message | None = None
    screen: Message | None = None
    message: Message | None = None

    def __str__(self) -> str:
        """For the command line."""
        lines = [f"[{self.state.value}] {self.key}: {self.meaning}"]
        for name, text in (
            (T("What to do"), self.advice), (T("In ServiceNow"), self.screen), (T("For its administrator"), self.message),
        ):  # fmt: skip
            if text is not None:
                lines.append(f"    {name}: {text}")
        return "\n".join(lines)

    @property
    def is_problem(self) -> bool:
        """Whether somebody has to act before tickets can flow as they should."""
        return self.state is State.PROBLEM

    def to_json(self) -> dict[str, Any]:
        """As the database keeps it."""
        texts = {name: getattr(self, name) for name in ("checked", "meaning", "advice", "screen", "message")}
        return {
            "key": self.key,
            "state": self.state.value,
            **{name: text.to_json() if text is not None else None for name, text in texts.items()},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Finding:
        """What `to_json` stored."""
        texts = {
            name: Message.from_json(stored[name]) if stored.get(name) else None
            for name in ("checked", "meaning", "advice", "screen", "message")
        }
        checked, meaning = texts.pop("checked"), texts.pop("meaning")
        assert checked is not None  # noqa: S101 - `to_json` wrote it.
        assert meaning is not None  # noqa: S101
        return cls(key=stored["key"], state=State(stored["state"]), checked=checked, meaning=meaning, **texts)
