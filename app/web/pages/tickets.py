"""Tickets: the share form, the list, and one ticket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from app.features.accounts import permissions
from app.features.connection.access import NotConnected, active_connection
from app.features.secure_score.action import Action, Category
from app.features.secure_score.browse_actions import find_action
from app.features.tickets import mend
from app.features.tickets.browse_tickets import (
    Filters,
    TicketLine,
    TicketList,
    lines_of,
    list_tickets,
    tickets_of_action,
)
from app.features.tickets.compose import Asked, Sender
from app.features.tickets.details import TicketDetails, ticket_details
from app.features.tickets.draft import draft_for
from app.features.tickets.share import AlreadyShared, Wish, share
from app.features.tickets.ticket import (
    DELIVERY_NAMES,
    GROUP_NAMES,
    KIND_NAMES,
    PRIORITY_NAMES,
    Delivery,
    Kind,
    Source,
)
from app.foundation import clock
from app.foundation.errors import InvalidInput
from app.foundation.text import T, Text
from app.web.dependencies import Db, Res, Sharer, Viewer
from app.web.forms import parse, read_form
from app.web.templating import render

router = APIRouter()


class TaskForm(BaseModel):
    """The share form's fields."""

    kind: Kind
    name: str = Field(max_length=400)
    description: str
    priority: int
    due_date: date
    category: Category
    form_key: UUID
    again: bool = False


@dataclass(frozen=True)
class SharePage:
    """The share form. `typed` holds every field as it stands; `action` is None for a free task."""

    typed: dict[str, str]
    errors: Mapping[str, Text | str]
    problem: Text | None
    action: Action | None
    address: str
    tickets: list[TicketLine]
    ask_again: bool
    is_connected: bool
    kinds: list[tuple[str, Text]]
    priorities: list[tuple[str, Text]]
    category_options: list[tuple[str, str]]
    today: str

    @property
    def title(self) -> Text:
        """What the page is for."""
        return T("Share to ServiceNow") if self.action else T("Create a ticket")


@dataclass(frozen=True)
class ListPage:
    """The list with its filters."""

    found: TicketList
    filters: Filters
    kinds: list[tuple[str, Text]]
    groups: list[tuple[str, Text]]
    deliveries: list[tuple[str, Text]]
    may_share: bool

    @property
    def is_filtered(self) -> bool:
        """Whether something is left out."""
        return bool(_as_query(self.filters))

    @staticmethod
    def kind_name(kind: str) -> Text:
        """What kind of ticket, in words."""
        return KIND_NAMES[Kind(kind)]

    def address(self, page: int) -> str:
        """The same list, another page of it."""
        return f"/tickets?{urlencode({**_as_query(self.filters), 'page': page})}"


@dataclass(frozen=True)
class TicketPage:
    """One ticket. `refresh` is in how many seconds the page asks again, while something is under way."""

    ticket: TicketDetails
    kind_name: Text
    may_share: bool
    refresh: int


@router.get("/tickets/new")
async def share_form(
    request: Request, _viewer: Sharer, session: Db, resources: Res, action: str = "", kind: str = ""
) -> Response:
    """The form, prefilled from the action."""
    chosen = await find_action(session, resources.config.shown_tenant_id, action) if action else None
    draft = draft_for(chosen, clock.now().date(), kind=kind)
    typed = {
        "kind": draft.kind,
        "name": draft.name,
        "description": draft.description,
        "priority": str(draft.priority),
        "due_date": draft.due_date.isoformat(),
        "category": draft.category,
        "form_key": str(uuid4()),
    }
    page = await _share_page(request, session, typed, chosen)
    return render(request, "tickets/new.html", page)


@router.post("/tickets/new")
async def send(request: Request, viewer: Sharer, session: Db, resources: Res, action: str = "") -> Response:
    """Share; on success on to the ticket."""
    chosen = await find_action(session, resources.config.shown_tenant_id, action) if action else None
    typed = await read_form(request)
    parsed = parse(typed, TaskForm)
    errors, problem, in_the_way = parsed.errors, None, None
    if parsed.values is not None:
        try:
            shared = await share(
                session,
                resources.queue,
                _wish(parsed.values, chosen),
                sender_of(viewer),
                public_url=resources.config.public_url,
            )
            return RedirectResponse(f"/tickets/{shared.ticket_id}", 303)
        except InvalidInput as error:
            errors = error.fields
        except AlreadyShared as error:
            problem, in_the_way = error.message, await lines_of(session, error.ticket_ids)
        except NotConnected as error:
            problem = error.message
    problem = problem or InvalidInput.default
    page = await _share_page(request, session, typed, chosen, errors=errors, problem=problem, in_the_way=in_the_way)
    return render(request, "tickets/new.html", page, status=409 if in_the_way else 422)


@router.get("/tickets")
async def ticket_list(
    request: Request,
    viewer: Viewer,
    session: Db,
    kind: str = "",
    group: str = "",
    state: str = "",
    delivery: str = "",
    q: str = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Response:
    """All tickets, newest first."""
    filters = Filters(kind, group, state, delivery, q.strip().replace("\0", ""), page)
    found = await list_tickets(session, filters)
    groups = [("open", T("Open")), *((group.value, name) for group, name in GROUP_NAMES.items())]
    return render(
        request,
        "tickets/list.html",
        ListPage(
            found=found,
            filters=filters,
            kinds=_choices(KIND_NAMES),
            groups=groups,
            deliveries=_choices(DELIVERY_NAMES),
            may_share=viewer.may_share,
        ),
    )


@router.get("/tickets/{ticket_id}")
async def one_ticket(request: Request, viewer: Viewer, session: Db, ticket_id: UUID) -> Response:
    """What was asked, how it went, and what ServiceNow made of it."""
    ticket = await ticket_details(session, ticket_id)
    refresh = 3 if ticket.line.delivery == "queued" else 15
    template = "tickets/_ticket.html" if request.headers.get("hx-request") else "tickets/ticket.html"
    return render(request, template, TicketPage(ticket, KIND_NAMES[Kind(ticket.line.kind)], viewer.may_share, refresh))


@router.post("/tickets/{ticket_id}/retry")
async def retry(viewer: Sharer, session: Db, resources: Res, ticket_id: UUID) -> Response:
    """Send a held ticket again."""
    await mend.retry(session, resources.queue, ticket_id, by=viewer.display_name)
    return RedirectResponse(f"/tickets/{ticket_id}", 303)


@router.post("/tickets/{ticket_id}/give-up")
async def give_up(viewer: Sharer, session: Db, ticket_id: UUID) -> Response:
    """Keep a held ticket and never send it."""
    await mend.give_up(session, ticket_id, by=viewer.display_name)
    return RedirectResponse(f"/tickets/{ticket_id}", 303)


def sender_of(viewer: permissions.Viewer) -> Sender:
    """The signed-in person as the one who shares."""
    return Sender(viewer.person_id, viewer.oid, viewer.display_name, viewer.email)


def _wish(form: TaskForm, action: Action | None) -> Wish:
    # Who recommends is not the form's to say: an action is Microsoft's, everything else is a person's own.
    source = Source.MICROSOFT if action else Source.USER
    asked = Asked(form.kind, form.name, form.description, form.priority, form.due_date, source, form.category.value)
    return Wish(asked, [action] if action else [], str(form.form_key), again=form.again)


async def _share_page(
    request: Request,
    session: Db,
    typed: dict[str, str],
    action: Action | None,
    *,
    errors: dict[str, Text] | None = None,
    problem: Text | None = None,
    in_the_way: list[TicketLine] | None = None,
) -> SharePage:
    tickets = await tickets_of_action(session, action.control_id) if action else []
    query = f"?{urlencode({'action': action.control_id})}" if action else ""
    blank = dict.fromkeys((*TaskForm.model_fields,), "")
    said: dict[str, Text | str] = {**blank, **(errors or {})}
    return SharePage(
        typed=blank | typed,
        errors=said,
        problem=problem,
        action=action,
        address=f"{request.url.path}{query}",
        tickets=in_the_way or tickets,
        ask_again=bool(in_the_way) or any(ticket.is_open for ticket in tickets),
        is_connected=await active_connection(session) is not None,
        kinds=_choices(KIND_NAMES),
        priorities=[
            (str(value), T("%(value)s - %(name)s", value=value, name=name)) for value, name in PRIORITY_NAMES.items()
        ],
        category_options=[(category.value, category.value) for category in Category],
        today=clock.now().date().isoformat(),
    )


def _choices(names: Mapping[Kind, Text] | Mapping[Delivery, Text]) -> list[tuple[str, Text]]:
    return [(value.value, name) for value, name in names.items()]


def _as_query(filters: Filters) -> dict[str, str]:
    named = {
        "kind": filters.kind,
        "group": filters.group,
        "state": filters.state,
        "delivery": filters.delivery,
        "q": filters.search,
    }
    return {name: value for name, value in named.items() if value}
