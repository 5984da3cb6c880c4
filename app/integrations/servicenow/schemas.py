"""ServiceNow's answers as typed values. Parses and sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Table = Literal["incident", "change_request"]


@dataclass(frozen=True)
class RemoteTicket:
    """One record. `state` and `priority` are ServiceNow's raw values; times are UTC.

    `table` is the record's class, empty when it may not be read. `values` are the raw values of every field in the answer,
    for comparison with what was sent; a field without read right is missing (docs/facts/servicenow.md#trap-15).
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
    """One page of a list, as the instance gave it.

    `total` is X-Total-Count: how many records match, including hidden ones; None when it was not sent. `at` is the
    instance's clock (the Date header), to the second. `unreadable` is how many more rows came that are no records.
    """

    rows: list[RemoteTicket]
    total: int | None
    at: datetime | None
    unreadable: int = 0


@dataclass(frozen=True)
class JournalRow:
    """One entry of a journal as its row holds it: `journal` is the field's name, `author` the login name of who wrote it."""

    journal: str
    author: str
    written_at: datetime | None
    text: str


@dataclass(frozen=True)
class FieldChoice:
    """One choice of a field, in the instance's order."""

    value: str
    label: str


@dataclass(frozen=True)
class Release:
    """The build tag and the release family in it, in lower case, empty when unknown."""

    build: str
    family: str


@dataclass(frozen=True)
class RemoteUser:
    """The user of the access token."""

    sys_id: str
    user_name: str
    name: str
    email: str


@dataclass(frozen=True)
class Tokens:
    """A token response; `refresh_token` is None when it was left out, `expires_in` is in seconds. Has no repr."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: int
    scope: str
