"""Pages of sharing: the form for one ticket, the form for several actions at once, and the progress of those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from app.core import clock
from app.core.errors import InvalidInput
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected
from app.features.connection.connection_view import connection_view
from app.features.connection.preferences import REOPEN, Preferences, load_preferences
from app.features.secure_score.actions.browse_actions import Action, find_action, find_actions
from app.features.secure_score.sync.renames import current_ids
from app.features.secure_score.vocabulary import Category
from app.features.tickets.sharing.bulk import MOST_AT_ONCE, BulkChoice, commands_for_each
from app.features.tickets.sharing.form_defaults import propose, propose_for_all
from app.features.tickets.sharing.share import AlreadyShared, ShareCommand, share, share_many
from app.features.tickets.ticket_fields import TicketRequest, form_values
from app.features.tickets.types import TicketKind
from app.features.tickets.views.bulk_share import Batch, Preview, batch_of, preview
from app.features.tickets.views.ticket_list import TicketLine, lines_of
from app.features.tickets.views.tickets_of_actions import tickets_by_action
from app.web.dependencies import Db, Res, Sharer, Viewer
from app.web.forms import PostedFields, parse, posted_fields, read_form
from app.web.rate_limits import Limited, TooManyRequests
from app.web.routing import PageRouter, redirect_to, url_for
from app.web.task_form import Fields, TaskForm, change_type_choices, fields_of, requester_of
from app.web.templating import render

router = PageRouter(prefix="/tickets")

# The record's text holds the lines of about ten actions, and counts the others (LONGEST_DESCRIPTION).
MOST_IN_ONE = 100
# Fields of a bulk form besides an "action" and a "shown" for each action.
OTHER_FIELDS = 100


class BulkForm(BaseModel):
    """What is chosen for several actions; what is left empty is decided for each."""

    kind: TicketKind
    priority: int | None = None
    due_date: date | None = None
    category: Category | None = None
    form_key: UUID


@dataclass(frozen=True)
class SharePage:
    """The form for one ticket, of one action, of several, or of none (a free task).

    `followed` is the ticket that the new one will name.
    """

    form: Fields
    problem: Message | None
    actions: Sequence[Action]
    tickets: list[TicketLine]
    ask_again: bool
    reopens: bool
    is_connected: bool
    followed: TicketLine | None

    @property
    def has_open(self) -> bool:
        """Whether one of the tickets is still open; otherwise they are done or canceled."""
        return any(ticket.is_open for ticket in self.tickets)

    @property
    def title(self) -> Message:
        return T("Share to ServiceNow") if self.actions else T("Create a ticket")

    @property
    def lead(self) -> Message | str:
        """The line below the heading: the action, the number of actions, or what a free task is."""
        if len(self.actions) > 1:
            return T("One ticket for %(count)s improvement actions.", count=len(self.actions))
        free = T("A task of your own, sent to ServiceNow as a user recommendation.")
        return self.actions[0].title if self.actions else free

    @property
    def address(self) -> str:
        """Where the form goes. A single action is part of the address; several would make it longer than proxies take."""
        return url_for("share.send", action=self.actions[0].control_id if self.is_of_one else None)

    @property
    def is_of_one(self) -> bool:
        """Whether the ticket is made of exactly one action."""
        return len(self.actions) == 1


@dataclass(frozen=True)
class BulkPage:
    """Several actions with the ticket of each; `ticked` are the control IDs of those that will be shared."""

    form: Fields
    problem: Message | None
    previews: list[Preview]
    ticked: frozenset[str]
    missing: int
    is_connected: bool

    @property
    def open_count(self) -> int:
        """How many have an open ticket already."""
        return sum(line.is_open for line in self.previews)

    @property
    def needs_category(self) -> bool:
        """Whether Graph's category of some is none of the five."""
        return any(line.action.category is None for line in self.previews)


@dataclass(frozen=True)
class BatchPage:
    """The progress of tickets that were shared at once."""

    batch: Batch
    batch_id: UUID
    may_share: bool


Actions = Annotated[list[str], Query(alias="action", default_factory=list, max_length=MOST_AT_ONCE)]
# "one" ticket for all of the actions; anything else: one for "each".
Refused = Annotated[TooManyRequests | None, Depends(Limited("share", keeps_form=True))]
BulkRefused = Annotated[TooManyRequests | None, Depends(Limited("share_bulk", keeps_form=True))]
As = Annotated[str, Query(alias="as")]


@router.get("/new", name="share.form")
async def share_form(
    request: Request, _viewer: Sharer, session: Db, resources: Res, wanted: Actions, as_what: As = "", kind: str = ""
) -> Response:
    """The form, prefilled from the action; from several actions, the form for several."""
    return await _empty_form(request, session, resources, wanted, as_what, kind)


@router.post("/selection", name="share.selection")
async def share_selection(request: Request, _viewer: Sharer, session: Db, resources: Res) -> Response:
    """The same form for the actions ticked in a list. Posted: proxies limit an address to some 8,000 characters."""
    form = await _many_fields(request)
    wanted = form.all("action")
    if not wanted:
        raise InvalidInput(T("Tick at least one action."))
    if len(wanted) > MOST_AT_ONCE:
        raise InvalidInput(T("At most %(count)s actions can be shared at once.", count=MOST_AT_ONCE))
    typed = form.single()
    return await _empty_form(request, session, resources, wanted, typed.get("as", ""), typed.get("kind", ""))


@router.post("/new", name="share.send")
async def send(
    request: Request, viewer: Sharer, session: Db, resources: Res, wanted: Actions, refused: Refused
) -> Response:
    """Share as one ticket, and redirect to it."""
    # One action is part of the address, several come in the body (SharePage.address).
    several = (await _many_fields(request)).all("action")
    actions, _ = await _find(session, resources, [*wanted, *several][:MOST_IN_ONE])
    typed = await read_form(request)
    parsed = parse(typed, TaskForm)
    errors, problem, conflicting = parsed.errors, InvalidInput.default, None
    if refused:
        problem = refused.message
    elif parsed.values is not None:
        form_key, again = str(parsed.values.form_key), parsed.values.again
        proposal = await _proposal(session, actions, parsed.values.kind)
        command = ShareCommand(parsed.values.request(proposal), actions, form_key, again=again)
        queue, public_url = resources.queue, resources.config.public_url
        try:
            shared = await share(session, queue, command, requester_of(viewer), public_url=public_url)
            return redirect_to("tickets.detail", ticket_id=shared.ticket_id)
        except InvalidInput as error:
            errors = error.fields
        except AlreadyShared as error:
            problem, conflicting = error.message, await lines_of(session, error.ticket_ids)
        except NotConnected as error:
            problem = error.message
    page = await _share_page(session, typed, actions, errors=errors, problem=problem, conflicting=conflicting)
    # 409 asks for a decision (share again although there is a ticket), 422 for other values, 429 for patience.
    status = refused.status if refused else 409 if conflicting else 422
    return render(request, "tickets/new.html", page, status=status, headers=refused.headers if refused else None)


@router.post("/bulk", name="share.send_bulk")
async def send_many(request: Request, viewer: Sharer, session: Db, resources: Res, refused: BulkRefused) -> Response:
    """One ticket for each, and redirect to their progress. "One for all" shows the form for one ticket instead."""
    form = await _many_fields(request)
    shown, ticked, typed = form.all("shown"), form.all("action"), form.single()
    if typed.get("how") == "all" and 0 < len(ticked) <= MOST_IN_ONE:
        return await _empty_form(request, session, resources, ticked, "one", typed.get("kind", ""))
    actions, _ = await _find(session, resources, shown)
    ticked = await _current(session, resources, ticked)
    chosen = [action for action in actions if action.control_id in set(ticked)]
    parsed = parse({name: typed.get(name, "") for name in BulkForm.model_fields}, BulkForm)
    errors, problem = dict(parsed.errors), InvalidInput.default
    if refused:
        problem = refused.message
    elif typed.get("how") == "all" and chosen:
        problem = T("One ticket can be made of at most %(count)s actions.", count=MOST_IN_ONE)
    elif not chosen:
        problem = T("Tick at least one action.")
    elif parsed.values is not None:
        try:
            batch_id = await _share_each(session, resources, viewer, chosen, parsed.values)
            return redirect_to("share.batch", batch_id=batch_id)
        except InvalidInput as error:
            errors = error.fields
        except NotConnected as error:
            problem = error.message
    page = await _bulk_page(session, actions, typed, errors=errors, problem=problem, ticked=frozenset(ticked))
    status, headers = (refused.status, refused.headers) if refused else (422, None)
    return render(request, "tickets/bulk.html", page, status=status, headers=headers)


@router.get("/batches/{batch_id}", name="share.batch")
async def batch_progress(request: Request, viewer: Viewer, session: Db, batch_id: UUID) -> Response:
    """The progress page; htmx asks for the fragment every few seconds while tickets are queued."""
    page = BatchPage(await batch_of(session, batch_id), batch_id, viewer.may_share)
    template = "tickets/_batch.html" if request.headers.get("hx-request") else "tickets/batch.html"
    return render(request, template, page)


async def _empty_form(
    request: Request, session: Db, resources: Res, wanted: Sequence[str], as_what: str, kind: str
) -> Response:
    """The form for these actions, with what is proposed for them."""
    actions, missing = await _find(session, resources, wanted)
    # The idempotency key of what will be sent: the same form twice makes one ticket.
    key = {"form_key": str(uuid4())}
    if len(wanted) > 1 and as_what != "one":
        typed = {"kind": (await _proposal(session, [], kind)).kind.value, **key}
        page = await _bulk_page(session, actions, typed, missing=missing)
        return render(request, "tickets/bulk.html", page)
    tickets = await _tickets_of(session, actions)
    # What follows a ticket is of its kind, unless the person asked for another.
    followed = _followed(tickets)
    typed = form_values(await _proposal(session, actions, kind or (followed.kind if followed else ""))) | key
    return render(request, "tickets/new.html", await _share_page(session, typed, actions, tickets=tickets))


async def _proposal(session: Db, actions: Sequence[Action], kind: str) -> TicketRequest:
    """What is proposed for one ticket of these actions; for none of them, a free task."""
    today, preferences = clock.now().date(), await _preferences(session)
    if len(actions) > 1:
        return propose_for_all(actions, today, kind=kind, preferences=preferences)
    return propose(actions[0] if actions else None, today, kind=kind, preferences=preferences)


async def _many_fields(request: Request) -> PostedFields:
    """A form that names many actions, each in a field of its own and perhaps a second one that says it is ticked."""
    return await posted_fields(request, most_fields=2 * MOST_AT_ONCE + OTHER_FIELDS)


async def _current(session: Db, resources: Res, wanted: Sequence[str]) -> list[str]:
    """The ids that these actions have today: an import may have renamed one while its form was filled in."""
    return await current_ids(session, resources.config.shown_tenant_id, [one for one in wanted if one])


async def _find(session: Db, resources: Res, wanted: Sequence[str]) -> tuple[list[Action], int]:
    """The actions in this order, and how many are unknown. Raises NotFound for a single unknown one."""
    tenant, ids = resources.config.shown_tenant_id, await _current(session, resources, wanted)
    if len(ids) == 1:
        return [await find_action(session, tenant, ids[0])], 0
    found = await find_actions(session, tenant, ids) if ids else []
    return found, len(ids) - len(found)


async def _preferences(session: Db) -> Preferences:
    """How the administrator of the active connection wants new tickets."""
    connection = await connection_view(session)
    return await load_preferences(session, connection.id if connection else None)


async def _share_each(session: Db, resources: Res, viewer: Sharer, actions: Sequence[Action], form: BulkForm) -> UUID:
    choice = BulkChoice(form.kind, form.priority, form.due_date, form.category, await _preferences(session))
    commands = commands_for_each(actions, choice, clock.now().date(), form.form_key)
    queue, public_url = resources.queue, resources.config.public_url
    await share_many(session, queue, commands, requester_of(viewer), public_url=public_url)
    return form.form_key


async def _share_page(
    session: Db,
    typed: Mapping[str, str],
    actions: Sequence[Action],
    *,
    errors: Mapping[str, Message] | None = None,
    problem: Message | None = None,
    conflicting: list[TicketLine] | None = None,
    tickets: list[TicketLine] | None = None,
) -> SharePage:
    if tickets is None:
        tickets = await _tickets_of(session, actions)
    done = any(ticket.is_done for ticket in tickets)
    decided = await _preferences(session)
    reopens = done and decided.after_done == REOPEN
    return SharePage(
        form=fields_of(typed, errors, fixed=_common_category(actions), change_types=change_type_choices(decided)),
        problem=problem,
        actions=actions,
        tickets=conflicting or tickets,
        ask_again=bool(conflicting) or reopens or any(ticket.is_open for ticket in tickets),
        reopens=reopens,
        is_connected=await connection_view(session) is not None,
        followed=_followed(tickets),
    )


async def _tickets_of(session: Db, actions: Sequence[Action]) -> list[TicketLine]:
    """The newest tickets of these actions, each once, the newest first."""
    earlier = await tickets_by_action(session, [action.control_id for action in actions]) if actions else {}
    found = {line.id: line for lines in earlier.values() for line in lines}
    return sorted(found.values(), key=lambda line: (-line.created_at.timestamp(), line.id))


def _followed(tickets: Sequence[TicketLine]) -> TicketLine | None:
    """The ticket that a new one will name as the one it follows."""
    return next((ticket for ticket in tickets if ticket.is_over and ticket.number), None)


def _common_category(actions: Sequence[Action]) -> dict[str, str]:
    """The category of the actions, when they all have the same; otherwise it is typed."""
    categories = {action.category for action in actions}
    only = categories.pop() if len(categories) == 1 else None
    return {"category": only.value} if only else {}


async def _bulk_page(
    session: Db,
    actions: Sequence[Action],
    typed: Mapping[str, str],
    *,
    errors: Mapping[str, Message] | None = None,
    problem: Message | None = None,
    ticked: frozenset[str] | None = None,
    missing: int = 0,
) -> BulkPage:
    earlier = await tickets_by_action(session, [action.control_id for action in actions])
    parsed = parse({name: typed.get(name, "") for name in BulkForm.model_fields}, BulkForm).values
    decided = await _preferences(session)
    # While the form cannot be parsed, the preview shows what is proposed for each action.
    kind = propose(None, clock.now().date(), kind=typed.get("kind", ""), preferences=decided).kind
    usual = BulkChoice(kind, None, None, None, decided)
    choice = BulkChoice(parsed.kind, parsed.priority, parsed.due_date, parsed.category, decided) if parsed else usual
    previews = preview(actions, earlier, choice, clock.now().date())
    reopens = decided.after_done == REOPEN
    # Ticked at first: actions without a ticket that is followed, or that would be reopened.
    unshared = frozenset(
        line.action.control_id for line in previews if not line.is_open and not (reopens and line.is_done)
    )
    return BulkPage(
        form=fields_of(typed, errors),
        problem=problem,
        previews=previews,
        ticked=unshared if ticked is None else ticked,
        missing=missing,
        is_connected=await connection_view(session) is not None,
    )
