"""The task form that sharing and changing a ticket have in common: its fields, its choices, and what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from pydantic import BaseModel, Field

from app.core import clock
from app.core.messages import Message, T
from app.features.accounts import permissions
from app.features.secure_score.actions.action import Category
from app.features.tickets.sharing.record import Requester, TicketRequest
from app.features.tickets.types import KIND_NAMES, PRIORITY_NAMES, TicketKind, TicketSource


class TaskForm(BaseModel):
    """The fields of one ticket."""

    kind: TicketKind
    name: str = Field(max_length=400)
    description: str
    priority: int
    due_date: date
    category: Category
    form_key: UUID
    again: bool = False

    def asked(self, source: TicketSource) -> TicketRequest:
        """What the person asks for. Who recommends is not the form's to say."""
        return TicketRequest(
            self.kind, self.name, self.description, self.priority, self.due_date, source, self.category.value
        )


@dataclass(frozen=True)
class Fields:
    """The form as it is shown: every field as it stands, and the sentence beside each (empty: none)."""

    typed: Mapping[str, str]
    errors: Mapping[str, Message | str]
    kinds: list[tuple[str, Message]]
    priorities: list[tuple[str, Message]]
    categories: list[tuple[str, str]]
    today: str


def fields_of(typed: Mapping[str, str], errors: Mapping[str, Message] | None = None) -> Fields:
    """These values in the form."""
    blank = dict.fromkeys(TaskForm.model_fields, "")
    said: dict[str, Message | str] = {**blank, **(errors or {})}
    return Fields(
        typed={**blank, **typed},
        errors=said,
        kinds=[(kind.value, name) for kind, name in KIND_NAMES.items()],
        priorities=[
            (str(value), T("%(value)s - %(name)s", value=value, name=name)) for value, name in PRIORITY_NAMES.items()
        ],
        categories=[(category.value, category.value) for category in Category],
        today=clock.earliest_day(clock.now()).isoformat(),
    )


def requester_of(viewer: permissions.Viewer) -> Requester:
    """The signed-in person as the one who shares."""
    return Requester(viewer.person_id, viewer.oid, viewer.display_name, viewer.email)
