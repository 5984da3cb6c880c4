"""What ServiceNow tells us, in our own shapes. Nothing here is sent or parsed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Table = Literal["incident", "change_request"]
TABLES: tuple[Table, ...] = ("change_request", "incident")


@dataclass(frozen=True)
class RemoteTicket:
    """One record, as far as we follow it. `state` and `priority` are ServiceNow's own values; `updated_at` is UTC."""

    sys_id: str
    number: str
    state: str
    state_label: str
    priority: str
    correlation_id: str
    correlation_display: str
    short_description: str
    updated_at: datetime | None


@dataclass(frozen=True)
class Choice:
    """One choice of a field, in the instance's order."""

    value: str
    label: str


@dataclass(frozen=True)
class Release:
    """Which ServiceNow answers: the build's tag and the family in it, both in lower case, empty when unknown."""

    build: str
    family: str


@dataclass(frozen=True)
class RemoteUser:
    """The account whose token we hold."""

    sys_id: str
    user_name: str
    name: str
    email: str


@dataclass(frozen=True)
class Tokens:
    """The answer to a grant; `refresh_token` is None when the answer left it out. Never printed."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: int
    scope: str
