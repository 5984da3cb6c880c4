"""One finding: what a check examined, what that means, and what to do about it. Stored as JSON; checks nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.core.messages import Message, T


class State(StrEnum):
    """State of a step or a finding.

    `NOTE` is worth knowing and blocks nothing. `UNKNOWN` cannot be known without writing. `SKIPPED` waits for an
    earlier step. `WAITING`, `RUNNING` and `SKIPPED` belong to steps only; a finding has one of the others.
    """

    WAITING = "waiting"
    RUNNING = "running"
    GOOD = "good"
    NOTE = "note"
    UNKNOWN = "unknown"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class FindingText:
    """An entry of the catalog: the texts of one finding, with `%(name)s` where facts are filled in.

    `title` is its heading on the diagnosis page. `meaning` is None where the error's own message says it best. `advice`
    says what to do, `screen` where in ServiceNow, and `message` is what to send to the instance's administrator.
    `needs_consent`: only a new consent fixes it. `passes`: it passes by itself and says nothing about what was examined.
    """

    state: State
    title: Message
    meaning: Message | None = None
    advice: Message | None = None
    screen: Message | None = None
    message: Message | None = None
    needs_consent: bool = False
    passes: bool = False


@dataclass(frozen=True)
class Finding:
    """The outcome of one check. `key` is a stable name for tests, the support bundle and the command line.

    The texts are kept with the finding, so that a stored one still says what was true when it was found.
    """

    key: str
    state: State
    checked: Message
    meaning: Message
    advice: Message | None = None
    screen: Message | None = None
    message: Message | None = None

    def __str__(self) -> str:
        """As the command line prints it: one line, and indented lines for what to do."""
        lines = [f"[{self.state.value}] {self.key}: {self.meaning}"]
        for name, text in (
            (T("What to do"), self.advice), (T("In ServiceNow"), self.screen), (T("For its administrator"), self.message),
        ):  # fmt: skip
            if text is not None:
                lines.append(f"    {name}: {text}")
        return "\n".join(lines)

    @property
    def is_problem(self) -> bool:
        """Whether a person has to act before tickets can flow as they should."""
        return self.state is State.PROBLEM

    @property
    def missing_fields(self) -> list[str]:
        """The labels of mandatory fields that it names, each of which can be given a fixed value."""
        named = str(self.meaning.values.get("fields", ""))
        return named.split(", ") if named else []

    @property
    def table(self) -> str:
        """The table that its key names; empty for any other finding."""
        return self.key.split(".")[1] if "." in self.key else ""

    def to_json(self) -> dict[str, Any]:
        """As the database keeps it; every text is a message's JSON or None."""
        texts = {name: getattr(self, name) for name in ("checked", "meaning", "advice", "screen", "message")}
        return {
            "key": self.key,
            "state": self.state.value,
            **{name: text.to_json() if text is not None else None for name, text in texts.items()},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Finding:
        texts = {
            name: Message.from_json(stored[name]) if stored.get(name) else None
            for name in ("checked", "meaning", "advice", "screen", "message")
        }
        checked, meaning = texts.pop("checked"), texts.pop("meaning")
        # `to_json` writes both for every finding.
        assert checked is not None  # noqa: S101 - always written, see above.
        assert meaning is not None  # noqa: S101
        return cls(key=stored["key"], state=State(stored["state"]), checked=checked, meaning=meaning, **texts)
