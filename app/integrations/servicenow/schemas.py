"""What ServiceNow tells us, in our own shapes. Nothing here is sent or parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Table = Literal["incident", "change_request"]
TABLES: tuple[Table, ...] = ("change_request", "incident")


@dataclass(frozen=True)
class RemoteTicket:
    """One record, as far as we follow it. `state` and `priority` are ServiceNow's own values; times are UTC.

    `table` is the class of the record, empty when it may not be read. `values` are the raw values of every field that
    came back, so that what was sent can be compared; a field that may not be read is not among them.
    """

    sys_id: str
    number: str
    table: str
    state: str
    state_label: str
    priority: str
    assigned_to: str
    correlation_id: str
    correlation_display: str
    created_at: datetime | None
    updated_at: datetime | None
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Listed:
    """The answer to a question for records, as the instance gave it.

    `total` is how many records it counted that fit the question, whether it shows them or not, and None when it did
    not say. `at` is what its clock showed when it answered, to the second.
    """

    rows: list[RemoteTicket]
    total: int | None
    at: datetime | None


@dataclass(frozen=True)
class FieldChoice:
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
