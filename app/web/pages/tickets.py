"""Pages of tickets: the list, and one ticket with what can be done about it. Sharing has its own pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import quote
from uuid import UUID, uuid4

from fastapi import Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from app.core.errors import InvalidInput
from app.core.messages import Message, T
from app.core.page_share import Portion, portion
from app.features.accounts import permissions
from app.features.connection.connection_view import connection_view
from app.features.connection.preferences import load_preferences
from app.features.tickets.notes.write_note import add_note, ask_for_notes, retry_note
from app.features.tickets.polling.poll_status import Freshness
from app.features.tickets.polling.state_names import category_choices
from app.features.tickets.sharing import held_tickets
from app.features.tickets.ticket_fields import form_values
from app.features.tickets.types import DELIVERY_NAMES, KIND_NAMES, Delivery, TicketKind
from app.features.tickets.views.list_place import Direction
from app.features.tickets.views.outcomes import TicketOutcome, results_of_ticket
from app.features.tickets.views.ticket_classes import ABSENT, ARCHIVED, OPEN, Filters
from app.features.tickets.views.ticket_details import TicketDetails, ticket_details
from app.features.tickets.views.ticket_list import TicketList, list_tickets
from app.features.tickets.views.ticket_pages import MOST_COUNTED, has_grams, searched
from app.web.dependencies import Db, Res, Sharer, Viewer
from app.web.forms import parse, read_form
from app.web.rate_limits import Limited, TooManyRequests, limited
from app.web.routing import PageRouter, redirect_to, url_for
from app.web.task_form import Fields, TaskForm, change_type_choices, fields_of
from app.web.templating import render

router = PageRouter()
LONGEST_FILTER = 200
# Of a ticket's page. Its other parts: features/tickets/views/ticket_shares.py.
RESULTS_BYTES = 60_000


NoteRefused = Annotated[TooManyRequests | None, Depends(Limited("note", keeps_form=True))]
EditRefused = Annotated[TooManyRequests | None, Depends(Limited("retry", keeps_form=True))]


@dataclass(frozen=True)
class TicketListPage:
    """`kinds`, `state_categories` and `deliveries` are the choices of the filters: (value, name)."""

    found: TicketList
    filters: Filters
    kinds: list[tuple[str, Message]]
    state_categories: list[tuple[str, Message]]
    deliveries: list[tuple[str, Message]]
    fresh: Freshness
    may_share: bool
    most_counted: int = MOST_COUNTED

    @property
    def is_filtered(self) -> bool:
        """Whether the list leaves tickets out."""
        return bool(_as_query(self.filters))

    @staticmethod
    def kind_name(kind: str) -> Message:
        return KIND_NAMES[TicketKind(kind)]

    @property
    def left_out(self) -> Message | None:
        """Why a search may have missed tickets, and what to do."""
        if self.found.is_too_slow:
            return T("This search took too long. Type more of the text, or choose a filter.")
        if not self.found.leaves_out:
            return None
        if has_grams(searched(self.filters.search)):
            return T(
                "Too many tickets are similar to this text to look at all of them. Type more of it, or choose a filter."
            )
        return T("Only the newest tickets were searched for so short a text. Type more of it to search all.")

    @property
    def pages(self) -> list[tuple[str, str, Message]]:
        """The other pages: (address, relation, name)."""
        newer, older = self.found.newer, self.found.older
        found: list[tuple[str, str, Message]] = []
        if newer is not None:
            found += [(self._address(""), "", T("Newest")), (self._address(newer), "prev", T("Newer"))]
        if older is not None:
            found.append((self._address(older), "next", T("Older")))
            # The last of what a search found is known only where all of it was looked at.
            if not self.found.has_more:
                found.append((self._address(Direction.OLDEST), "", T("Oldest")))
        return found

    def _address(self, place: str) -> str:
        return url_for("tickets.list", **_as_query(self.filters), at=place or None)


class NoteForm(BaseModel):
    note: str
    # Made when the form is shown: a form that is sent twice is one note.
    note_id: UUID


@dataclass(frozen=True)
class TicketPage:
    """`results` are the outcomes by Secure Score. `refresh` is the number of seconds until the page refreshes itself."""

    ticket: TicketDetails
    kind_name: Message
    results: Portion[TicketOutcome]
    may_share: bool
    refresh: int
    note_id: UUID
    note: str = ""
    note_error: Message | str = ""


@dataclass(frozen=True)
class EditPage:
    form: Fields
    problem: Message | None
    ticket: TicketDetails


@router.get("/tickets", name="tickets.list")
async def ticket_list(
    request: Request,
    viewer: Viewer,
    session: Db,
    kind: str = "",
    state_category: str = "",
    # What bookmarks of earlier versions call it.
    group: str = "",
    state: str = "",
    delivery: str = "",
    q: str = "",
    batch: str = "",
    at: str = "",
    # In bookmarks of earlier versions, too.
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Response:
    # What is longer than any value of a filter is none, and each link of the page repeats it. PostgreSQL stores no NUL in a
    # text and answers a query that has one with an error.
    asked = (kind, state_category or group, state, delivery, q.strip(), batch)
    kind, state_category, state, delivery, search, batch = (one.replace("\0", "")[:LONGEST_FILTER] for one in asked)
    filters = Filters(kind, state_category, state, delivery, search, batch, page, at)
    found = await list_tickets(session, filters)
    return render(
        request,
        "tickets/list.html",
        TicketListPage(
            found=found,
            filters=filters,
            kinds=_choices(KIND_NAMES),
            # Open is no category: it is every state that ends no work.
            state_categories=[
                (OPEN, T("Open")),
                *category_choices(),
                (ABSENT, T("Deleted or hidden")),
                (ARCHIVED, T("Archived")),
            ],
            deliveries=_choices(DELIVERY_NAMES),
            fresh=found.polling.overall(),
            may_share=viewer.may_share,
        ),
    )


@router.get("/tickets/{ticket_id}", name="tickets.detail")
async def one_ticket(request: Request, viewer: Viewer, session: Db, resources: Res, ticket_id: UUID) -> Response:
    page = await _ticket_page(session, resources, viewer, ticket_id)
    # In the background: the page shows what was read last, and refreshes itself.
    await ask_for_notes(session, resources.queue, ticket_id)
    # htmx refreshes the partial alone.
    template = "tickets/_ticket.html" if request.headers.get("hx-request") else "tickets/ticket.html"
    return render(request, template, page)


@router.post("/tickets/{ticket_id}/notes", name="tickets.add_note")
async def write_note(
    request: Request, viewer: Sharer, session: Db, resources: Res, ticket_id: UUID, refused: NoteRefused
) -> Response:
    typed = await read_form(request)
    parsed = parse(typed, NoteForm)
    errors = {"note": refused.message} if refused else parsed.errors
    if parsed.values is not None and not refused:
        note_id, text = parsed.values.note_id, parsed.values.note
        try:
            await add_note(session, resources.queue, ticket_id, note_id=note_id, text=text, viewer=viewer)
            return redirect_to("tickets.detail", ticket_id=ticket_id, anchor="notes")
        except InvalidInput as error:
            errors = error.fields
    # What was typed stays in the form.
    page = await _ticket_page(session, resources, viewer, ticket_id)
    page = replace(page, note=typed.get("note", ""), note_error=errors.get("note", InvalidInput.default))
    return render(
        request,
        "tickets/ticket.html",
        page,
        status=refused.status if refused else 422,
        headers=refused.headers if refused else None,
    )


@router.post("/tickets/{ticket_id}/notes/{note_id}/retry", name="tickets.retry_note", dependencies=[limited("retry")])
async def send_note_again(viewer: Sharer, session: Db, resources: Res, ticket_id: UUID, note_id: UUID) -> Response:
    await retry_note(session, resources.queue, ticket_id, note_id, viewer=viewer)
    return redirect_to("tickets.detail", ticket_id=ticket_id, anchor="notes")


@router.post("/tickets/retry-held", name="tickets.retry_held", dependencies=[limited("retry")])
async def retry_held(viewer: Sharer, session: Db, resources: Res) -> Response:
    await held_tickets.retry_all(session, resources.queue, viewer=viewer)
    return redirect_to("tickets.list", delivery="queued")


@router.post("/tickets/retry-group", name="tickets.retry_group", dependencies=[limited("retry")])
async def retry_group(request: Request, viewer: Sharer, session: Db, resources: Res) -> Response:
    """Send all that are held for one reason again. None is left when another person was quicker: the list shows it."""
    cause = (await read_form(request)).get("cause", "")
    await held_tickets.retry_group(session, resources.queue, cause, viewer=viewer)
    return redirect_to("tickets.list", delivery="queued")


@router.get("/tickets/{ticket_id}/edit", name="tickets.edit")
async def edit_form(request: Request, _viewer: Sharer, session: Db, ticket_id: UUID) -> Response:
    # Raises when the ticket is not held: what was sent cannot be changed any more.
    await held_tickets.held_ticket(session, ticket_id)
    ticket = await ticket_details(session, ticket_id)
    typed = form_values(ticket.request) | {"form_key": str(ticket_id)}
    return render(request, "tickets/edit.html", EditPage(await _edit_form(session, typed, {}), None, ticket))


@router.post("/tickets/{ticket_id}/edit", name="tickets.save")
async def edit(
    request: Request, viewer: Sharer, session: Db, resources: Res, ticket_id: UUID, refused: EditRefused
) -> Response:
    typed = await read_form(request)
    parsed = parse(typed, TaskForm)
    errors = parsed.errors
    # What has no control in the form stays: a person cannot change who recommended the task.
    ticket = await ticket_details(session, ticket_id)
    if parsed.values is not None and not refused:
        try:
            await held_tickets.edit_and_retry(
                session,
                resources.queue,
                ticket_id,
                parsed.values.request(ticket.request),
                viewer=viewer,
                public_url=resources.config.public_url,
            )
            return redirect_to("tickets.detail", ticket_id=ticket_id)
        except InvalidInput as error:
            errors = error.fields
    problem = refused.message if refused else InvalidInput.default
    page = EditPage(await _edit_form(session, typed, errors), problem, ticket)
    return render(
        request,
        "tickets/edit.html",
        page,
        status=refused.status if refused else 422,
        headers=refused.headers if refused else None,
    )


@router.post("/tickets/{ticket_id}/retry", name="tickets.retry", dependencies=[limited("retry")])
async def retry(viewer: Sharer, session: Db, resources: Res, ticket_id: UUID) -> Response:
    await held_tickets.retry(session, resources.queue, ticket_id, viewer=viewer)
    return redirect_to("tickets.detail", ticket_id=ticket_id)


@router.post("/tickets/{ticket_id}/give-up", name="tickets.give_up")
async def give_up(viewer: Sharer, session: Db, resources: Res, ticket_id: UUID) -> Response:
    await held_tickets.give_up(session, resources.queue, ticket_id, viewer=viewer)
    return redirect_to("tickets.detail", ticket_id=ticket_id)


async def _edit_form(session: Db, typed: Mapping[str, str], errors: Mapping[str, Message]) -> Fields:
    connection = await connection_view(session)
    decided = await load_preferences(session, connection.id if connection else None)
    return fields_of(typed, errors, offers_empty=False, change_types=change_type_choices(decided))


async def _ticket_page(session: Db, resources: Res, viewer: permissions.Viewer, ticket_id: UUID) -> TicketPage:
    ticket = await ticket_details(session, ticket_id)
    found = await results_of_ticket(session, resources.config.shown_tenant_id, ticket)
    # Twice the id: a line may also lead to the form for a new ticket.
    results = portion(
        found,
        lambda one: (2 * quote(one.control_id, safe=""), one.title, one.sentence),
        most_bytes=RESULTS_BYTES,
    )
    in_progress = ticket.line.delivery == "queued" or any(note.delivery == "queued" for note in ticket.notes)
    kind_name = KIND_NAMES[TicketKind(ticket.line.kind)]
    # A delivery usually takes a few seconds. Otherwise the page follows polling, which takes a minute.
    return TicketPage(ticket, kind_name, results, viewer.may_share, 3 if in_progress else 15, uuid4())


def _choices(names: Mapping[TicketKind, Message] | Mapping[Delivery, Message]) -> list[tuple[str, Message]]:
    return [(value.value, name) for value, name in names.items()]


def _as_query(filters: Filters) -> dict[str, str]:
    named = {
        "kind": filters.kind,
        "state_category": filters.state_category,
        "state": filters.state,
        "delivery": filters.delivery,
        "q": filters.search,
        "batch": filters.batch,
    }
    return {name: value for name, value in named.items() if value}
