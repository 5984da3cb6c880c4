"""Tickets: the share form, the list, and one ticket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from app.core.errors import InvalidInput
from app.core.messages import Message, T
from app.features.accounts import permissions
from app.features.connection.active_connection import active_connection
from app.features.tickets.notes.write_note import add_note, ask_for_notes, retry_note
from app.features.tickets.polling.poll_status import Freshness, poll_status
from app.features.tickets.sharing import held_tickets
from app.features.tickets.types import DELIVERY_NAMES, GROUP_NAMES, KIND_NAMES, Delivery, TicketKind, TicketSource
from app.features.tickets.views.outcomes import TicketOutcome, results_of_ticket
from app.features.tickets.views.ticket_details import TicketDetails, ticket_details
from app.features.tickets.views.ticket_list import Filters, TicketList, list_tickets
from app.web.dependencies import Db, Res, Sharer, Viewer
from app.web.forms import parse, read_form
from app.web.routing import PageRouter, redirect_to, url_for
from app.web.task_form import Fields, TaskForm, fields_of
from app.web.templating import render

router = PageRouter()


@dataclass(frozen=True)
class TicketListPage:
    """The list with its filters."""

    found: TicketList
    filters: Filters
    kinds: list[tuple[str, Message]]
    groups: list[tuple[str, Message]]
    deliveries: list[tuple[str, Message]]
    fresh: Freshness
    may_share: bool

    @property
    def is_filtered(self) -> bool:
        """Whether something is left out."""
        return bool(_as_query(self.filters))

    @staticmethod
    def kind_name(kind: str) -> Message:
        """What kind of ticket, in words."""
        return KIND_NAMES[TicketKind(kind)]

    def address(self, page: int) -> str:
        """The same list, another page of it."""
        return url_for("tickets.list", **_as_query(self.filters), page=page)


class NoteForm(BaseModel):
    """A work note; its id comes with the form."""

    note: str
    note_id: UUID


@dataclass(frozen=True)
class TicketPage:
    """One ticket. `results` is what the score says of it; `refresh` is in how many seconds the page asks again."""

    ticket: TicketDetails
    kind_name: Message
    results: list[TicketOutcome]
    may_share: bool
    refresh: int
    note_id: UUID
    note: str = ""
    note_error: Message | str = ""


@dataclass(frozen=True)
class EditPage:
    """A held ticket's form."""

    form: Fields
    problem: Message | None
    ticket: TicketDetails


@router.get("/tickets", name="tickets.list")
async def ticket_list(
    request: Request,
    viewer: Viewer,
    session: Db,
    kind: str = "",
    group: str = "",
    state: str = "",
    delivery: str = "",
    q: str = "",
    batch: str = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Response:
    """All tickets, newest first."""
    filters = Filters(kind, group, state, delivery, q.strip().replace("\0", ""), batch, page)
    found = await list_tickets(session, filters)
    seen = await poll_status(session, await active_connection(session))
    groups = [("open", T("Open")), *((group.value, name) for group, name in GROUP_NAMES.items())]
    return render(
        request,
        "tickets/list.html",
        TicketListPage(
            found=found,
            filters=filters,
            kinds=_choices(KIND_NAMES),
            groups=groups,
            deliveries=_choices(DELIVERY_NAMES),
            fresh=seen.overall(),
            may_share=viewer.may_share,
        ),
    )


@router.get("/tickets/{ticket_id}", name="tickets.detail")
async def one_ticket(request: Request, viewer: Viewer, session: Db, resources: Res, ticket_id: UUID) -> Response:
    """What was asked, how it went, and what ServiceNow made of it."""
    page = await _ticket_page(session, resources, viewer, ticket_id)
    await ask_for_notes(session, resources.queue, ticket_id)
    template = "tickets/_ticket.html" if request.headers.get("hx-request") else "tickets/ticket.html"
    return render(request, template, page)


@router.post("/tickets/{ticket_id}/notes", name="tickets.add_note")
async def write_note(request: Request, viewer: Sharer, session: Db, resources: Res, ticket_id: UUID) -> Response:
    """Add a work note."""
    typed = await read_form(request)
    parsed = parse(typed, NoteForm)
    errors = parsed.errors
    if parsed.values is not None:
        note_id, text = parsed.values.note_id, parsed.values.note
        try:
            await add_note(session, resources.queue, ticket_id, note_id=note_id, text=text, viewer=viewer)
            return redirect_to("tickets.detail", ticket_id=ticket_id, anchor="notes")
        except InvalidInput as error:
            errors = error.fields
    page = await _ticket_page(session, resources, viewer, ticket_id)
    page = replace(page, note=typed.get("note", ""), note_error=errors.get("note", InvalidInput.default))
    return render(request, "tickets/ticket.html", page, status=422)


@router.post("/tickets/{ticket_id}/notes/{note_id}/retry", name="tickets.retry_note")
async def send_note_again(viewer: Sharer, session: Db, resources: Res, ticket_id: UUID, note_id: UUID) -> Response:
    """Send a held note again."""
    await retry_note(session, resources.queue, ticket_id, note_id, viewer=viewer)
    return redirect_to("tickets.detail", ticket_id=ticket_id, anchor="notes")


@router.post("/tickets/retry-held", name="tickets.retry_held")
async def retry_held(viewer: Sharer, session: Db, resources: Res) -> Response:
    """Send every held ticket again."""
    await held_tickets.retry_all(session, resources.queue, viewer=viewer)
    return redirect_to("tickets.list", delivery="queued")


@router.get("/tickets/{ticket_id}/edit", name="tickets.edit")
async def edit_form(request: Request, _viewer: Sharer, session: Db, ticket_id: UUID) -> Response:
    """The form of a held ticket, as it stands."""
    await held_tickets.held_ticket(session, ticket_id)
    ticket = await ticket_details(session, ticket_id)
    typed = {
        "kind": ticket.line.kind,
        "name": ticket.line.name,
        "description": ticket.description,
        "priority": str(ticket.priority_value),
        "due_date": ticket.due_date.isoformat(),
        "category": ticket.category,
        "form_key": str(ticket_id),
    }
    return render(request, "tickets/edit.html", EditPage(fields_of(typed), None, ticket))


@router.post("/tickets/{ticket_id}/edit", name="tickets.save")
async def edit(request: Request, viewer: Sharer, session: Db, resources: Res, ticket_id: UUID) -> Response:
    """Change a held ticket and send it again."""
    typed = await read_form(request)
    parsed = parse(typed, TaskForm)
    errors = parsed.errors
    ticket = await ticket_details(session, ticket_id)
    if parsed.values is not None:
        try:
            await held_tickets.edit_and_retry(
                session,
                resources.queue,
                ticket_id,
                parsed.values.asked(TicketSource(ticket.source)),
                viewer=viewer,
                public_url=resources.config.public_url,
            )
            return redirect_to("tickets.detail", ticket_id=ticket_id)
        except InvalidInput as error:
            errors = error.fields
    page = EditPage(fields_of(typed, errors), InvalidInput.default, ticket)
    return render(request, "tickets/edit.html", page, status=422)


@router.post("/tickets/{ticket_id}/retry", name="tickets.retry")
async def retry(viewer: Sharer, session: Db, resources: Res, ticket_id: UUID) -> Response:
    """Send a held ticket again."""
    await held_tickets.retry(session, resources.queue, ticket_id, viewer=viewer)
    return redirect_to("tickets.detail", ticket_id=ticket_id)


@router.post("/tickets/{ticket_id}/give-up", name="tickets.give_up")
async def give_up(viewer: Sharer, session: Db, resources: Res, ticket_id: UUID) -> Response:
    """Keep a held ticket, and send nothing more of it."""
    await held_tickets.give_up(session, resources.queue, ticket_id, viewer=viewer)
    return redirect_to("tickets.detail", ticket_id=ticket_id)


async def _ticket_page(session: Db, resources: Res, viewer: permissions.Viewer, ticket_id: UUID) -> TicketPage:
    ticket = await ticket_details(session, ticket_id)
    results = await results_of_ticket(session, resources.config.shown_tenant_id, ticket)
    in_progress = ticket.line.delivery == "queued" or any(note.delivery == "queued" for note in ticket.notes)
    kind_name = KIND_NAMES[TicketKind(ticket.line.kind)]
    return TicketPage(ticket, kind_name, results, viewer.may_share, 3 if in_progress else 15, uuid4())


def _choices(names: Mapping[TicketKind, Message] | Mapping[Delivery, Message]) -> list[tuple[str, Message]]:
    return [(value.value, name) for value, name in names.items()]


def _as_query(filters: Filters) -> dict[str, str]:
    named = {
        "kind": filters.kind,
        "group": filters.group,
        "state": filters.state,
        "delivery": filters.delivery,
        "q": filters.search,
        "batch": filters.batch,
    }
    return {name: value for name, value in named.items() if value}
