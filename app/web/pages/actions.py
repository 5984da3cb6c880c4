"""Pages of improvement actions: the list, its export, one action, and forms for status, notes and tags."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import Depends, Request
from fastapi.responses import Response
from markupsafe import Markup
from pydantic import BaseModel, Field

from app.core import clock
from app.core.errors import Conflict, InvalidInput
from app.core.messages import Message, T
from app.features.secure_score.actions.action_details import (
    ActionDetail,
    History,
    Note,
    load_action,
    load_history,
    load_notes,
)
from app.features.secure_score.actions.action_list import (
    FACETS,
    GROUPS,
    FacetOptions,
    Listing,
    View,
    facet_options,
    list_actions,
    order_lines,
    select_lines,
    shows_unscored,
)
from app.features.secure_score.actions.action_rows import ActionLine, load_lines
from app.features.secure_score.actions.action_status import DECISIONS, NAMES, Status
from app.features.secure_score.actions.columns import LIST_COLUMNS, LIST_COLUMNS_BY_KEY, Column
from app.features.secure_score.actions.export import as_csv, load_texts
from app.features.secure_score.actions.plan import LONGEST_REASON, PlanChange, add_note, remove_note, set_tags
from app.features.secure_score.actions.portal_links import ManageLink, manage_link, teams_share_page
from app.features.secure_score.html_text import Link, links_of, plain_text
from app.features.secure_score.jobs import decide_and_send
from app.features.secure_score.reports.no_score import NoScore, why_no_score
from app.features.secure_score.sync.renames import current_id, detail_or_new_id
from app.features.tickets.views.ticket_list import TicketLine
from app.features.tickets.views.tickets_of_actions import (
    EXPORTED_OF_ACTION,
    NO_TICKETS,
    ActionTickets,
    actions_with_tickets,
    newest_by_action,
    numbers_by_action,
    tickets_of_action,
)
from app.web.dependencies import Db, Manager, Res, Viewer
from app.web.forms import parse, read_form
from app.web.rate_limits import limited
from app.web.routing import PageRouter, redirect_to, url_for
from app.web.templating import render

router = PageRouter(prefix="/secure-score")
TABS = ("general", "implementation", "history")
# The newest ones of each action in the list.
TICKETS_IN_A_CELL = 2
# Characters of the next steps in a mailto: link, as mail programs cut long links off.
LONGEST_MAIL = 1500


class StatusForm(BaseModel):
    """`reason` is the action plan."""

    status: Status
    planned_for: date | None = None
    reason: str = Field("", max_length=LONGEST_REASON)


@dataclass(frozen=True)
class ActionListPage:
    """The list of one address; `nothing` is why there is none at all."""

    view: View
    listing: Listing
    facets: list[FacetOptions]
    tickets: Mapping[str, ActionTickets]
    nothing: NoScore | None
    may_share: bool
    columns: tuple[Column, ...] = LIST_COLUMNS
    no_tickets: ActionTickets = NO_TICKETS

    @property
    def shown(self) -> list[Column]:
        return [LIST_COLUMNS_BY_KEY[key] for key in self.view.columns]

    @property
    def cells(self) -> list[tuple[Column, str, str]]:
        """For each shown column: its class and its label, which every row repeats."""
        return [
            (
                column,
                " ".join(name for name, has in (("number", column.is_numeric), ("nowrap", column.is_unbroken)) if has),
                "" if column.is_permanent else str(column.heading),
            )
            for column in self.shown
        ]

    @property
    def groups(self) -> list[tuple[str, Message]]:
        labels = {facet.name: facet.label for facet in FACETS}
        return [(name, labels[name]) for name in GROUPS]

    @property
    def chosen(self) -> list[tuple[str, Message | str]]:
        """Every filter that is set: the address without it, and its text."""
        found: list[tuple[str, Message | str]] = []
        for facet in FACETS:
            for value in self.view.chosen.get(facet.name, ()):
                label = T("%(facet)s: %(value)s", facet=facet.label, value=facet.name_of(value))
                found.append((list_address(self.view.without(facet.name, value)), label))
        return found

    def address(self, number: int) -> str:
        return list_address(self.view.on_page(number))

    def sorting(self, column: Column) -> str:
        return list_address(self.view.sorted_by(column.key))

    @property
    def csv_address(self) -> str:
        return url_for("actions.export") + "?" + self.view.on_page(1).query()


@dataclass(frozen=True)
class ActionPage:
    """One action. `tab` is one of TABS; `typed` and `errors` belong to a form that was refused."""

    detail: ActionDetail
    tab: str
    tickets: ActionTickets
    notes: list[Note]
    history: History
    link: str
    today: date
    viewer_id: UUID
    may_share: bool
    may_edit: bool
    cloud: str
    writes_back: bool
    typed: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, Message] = field(default_factory=dict)
    problem: Message | None = None

    @property
    def line(self) -> ActionLine:
        return self.detail.line

    @property
    def description(self) -> Markup:
        return Markup(self.detail.description_html)  # noqa: S704 - sanitized by html_text.

    @property
    def remediation(self) -> Markup:
        return Markup(self.detail.remediation_html)  # noqa: S704 - sanitized by html_text.

    @property
    def remediation_impact(self) -> Markup:
        return Markup(self.detail.remediation_impact_html)  # noqa: S704 - sanitized by html_text.

    @property
    def implementation(self) -> Markup:
        return Markup(self.detail.implementation_html)  # noqa: S704 - sanitized by html_text.

    @property
    def manage(self) -> ManageLink | None:
        return manage_link(self.detail.action_url, self.cloud)

    @property
    def microsoft_links(self) -> list[Link]:
        """The links of Microsoft's own text, without the one that the page's button opens."""
        found = links_of(self.detail.remediation_html + self.detail.description_html)
        return [link for link in found if link.url != self.detail.action_url.strip()]

    @property
    def regressed_after(self) -> list[TicketLine]:
        """Tickets that were done before the action regressed."""
        # docs/facts/microsoft-graph.md#edge-51
        day = self.line.regressed_on if self.line.is_regressed else None
        done = [ticket for ticket in self.tickets.lines if ticket.state_category == "done"]
        return [ticket for ticket in done if day is not None and (ticket.state_since or ticket.created_at).date() < day]

    @property
    def offers_linked_ticket(self) -> bool:
        """Whether a new ticket would be linked to one of those: only one of the connected instance can be followed."""
        return self.may_share and any(not ticket.archived_at for ticket in self.regressed_after)

    @property
    def choices(self) -> list[tuple[str, Message]]:
        return [(str(status), NAMES[status]) for status in DECISIONS]

    @property
    def mail_link(self) -> str:
        """A mail without a recipient, with title, link and next steps."""
        steps = plain_text(self.detail.remediation_html, LONGEST_MAIL)
        body = "\n\n".join(part for part in (self.line.title, self.link, steps) if part)
        return "mailto:?" + urlencode({"subject": self.line.title, "body": body}, quote_via=quote)

    @property
    def teams_link(self) -> str:
        return f"{teams_share_page(self.cloud)}?{urlencode({'href': self.link, 'msgText': self.line.title})}"


def list_address(view: View) -> str:
    query = view.query()
    return url_for("actions.list") + (f"?{query}" if query else "")


@router.get("/actions", name="actions.list")
async def list_page(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    lines = await load_lines(session, resources.config.shown_tenant_id)
    ticketed = await actions_with_tickets(session, [line.control_id for line in lines])
    view = View.from_query(request.query_params.multi_items()).fitting(lines, ticketed)
    listing = list_actions(lines, view, ticketed)
    shown = [line.control_id for line in listing.lines]
    # Only if a column shows them.
    has_cells = bool(shown) and "ticket" in view.columns
    by_action = await newest_by_action(session, shown, TICKETS_IN_A_CELL) if has_cells else {}
    page = ActionListPage(
        view=view,
        listing=listing,
        facets=facet_options(lines, view, ticketed),
        tickets=by_action,
        nothing=await why_no_score(session, resources.config) if _shows_nothing(lines, view) else None,
        may_share=viewer.may_share,
    )
    return render(request, "actions/list.html", page)


def _shows_nothing(lines: Sequence[ActionLine], view: View) -> bool:
    # Without a score, the catalog is still shown to a person who asks for actions without a license.
    return not any(line.scored for line in lines) and not (lines and shows_unscored(view))


@router.get("/actions.csv", name="actions.export", dependencies=[limited("export")])
async def csv_file(request: Request, _viewer: Viewer, session: Db, resources: Res) -> Response:
    """All pages of the list as a file."""
    tenant_id = resources.config.shown_tenant_id
    lines = await load_lines(session, tenant_id)
    ticketed = await actions_with_tickets(session, [line.control_id for line in lines])
    view = View.from_query(request.query_params.multi_items()).fitting(lines, ticketed)
    chosen = order_lines(select_lines(lines, view, ticketed), view)
    found = await numbers_by_action(session, ticketed.intersection(line.control_id for line in chosen))
    numbers = {control_id: _exported(some) for control_id, some in found.items()}
    # Thousands of texts are parsed for it, while others go on.
    content = await asyncio.to_thread(as_csv, chosen, numbers, await load_texts(session, tenant_id))
    name = f"secure-score-actions-{clock.now():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content.encode(), media_type="text/csv; charset=utf-8", headers=headers)


def _exported(numbers: Sequence[str]) -> list[str]:
    """The newest numbers of an action, and that there are more. A ticket that was not delivered yet has none."""
    some = [number for number in numbers[:EXPORTED_OF_ACTION] if number]
    return [*some, "…"] if len(numbers) > EXPORTED_OF_ACTION else some


@router.get("/actions/{control_id:path}", name="actions.detail")
async def action_page(
    request: Request, viewer: Viewer, session: Db, resources: Res, control_id: str, tab: str = "general"
) -> Response:
    tenant_id = resources.config.shown_tenant_id
    detail, current = await detail_or_new_id(session, tenant_id, control_id)
    # Links in tickets name the id of the day they were sent.
    if current != control_id:
        return redirect_to("actions.detail", control_id=current, tab=tab if tab in TABS[1:] else None)
    return await _show(request, viewer, session, resources, control_id, tab=tab, detail=detail)


# A page's path holds the id, which may contain slashes and end in anything: docs/facts/microsoft-graph.md#edge-27
# The forms take it as a parameter instead. An import may have renamed the control while a form was filled in.
async def _current(session: Db, resources: Res, action: str) -> str:
    return await current_id(session, resources.config.shown_tenant_id, action)


CurrentId = Annotated[str, Depends(_current)]


@router.post("/actions/status", name="actions.set_status")
async def set_status(request: Request, manager: Manager, session: Db, resources: Res, action: CurrentId) -> Response:
    parsed = parse(await read_form(request), StatusForm)
    errors, problem = parsed.errors, None
    if parsed.values is not None:
        form = parsed.values
        planned_for = form.planned_for if form.status is Status.PLANNED else None
        change = PlanChange(form.status, planned_for, form.reason)
        try:
            await decide_and_send(session, resources, action, change, by=manager)
            return redirect_to("actions.detail", control_id=action)
        except InvalidInput as error:
            errors = error.fields
        except Conflict as error:
            problem = error.message
    typed = parsed.typed
    return await _show(
        request, manager, session, resources, action, typed=typed, errors=errors, problem=problem
    )  # fmt: skip


@router.post("/actions/notes", name="actions.add_note")
async def write_note(request: Request, manager: Manager, session: Db, resources: Res, action: CurrentId) -> Response:
    typed = await read_form(request)
    # PostgreSQL cannot store NUL.
    note = typed.get("note", "").replace("\0", "")
    tenant_id = resources.config.shown_tenant_id
    try:
        await add_note(session, tenant_id, action, note, author=manager)
    except InvalidInput as error:
        return await _show(request, manager, session, resources, action, typed=typed, errors=error.fields)
    return redirect_to("actions.detail", control_id=action, anchor="notes")


@router.post("/actions/notes/remove", name="actions.remove_note")
async def delete_note(manager: Manager, session: Db, resources: Res, action: CurrentId, note: UUID) -> Response:
    tenant_id = resources.config.shown_tenant_id
    await remove_note(session, tenant_id, action, note, author=manager)
    return redirect_to("actions.detail", control_id=action, anchor="notes")


@router.post("/actions/tags", name="actions.set_tags")
async def write_tags(request: Request, manager: Manager, session: Db, resources: Res, action: CurrentId) -> Response:
    typed = await read_form(request)
    try:
        tags = typed.get("tags", "").replace("\0", "")
        await set_tags(session, resources.config.shown_tenant_id, action, tags, by=manager)
    except InvalidInput as error:
        return await _show(request, manager, session, resources, action, typed=typed, errors=error.fields)
    return redirect_to("actions.detail", control_id=action)


async def _show(
    request: Request,
    viewer: Viewer,
    session: Db,
    resources: Res,
    control_id: str,
    *,
    tab: str = "general",
    detail: ActionDetail | None = None,
    typed: Mapping[str, str] | None = None,
    errors: Mapping[str, Message] | None = None,
    problem: Message | None = None,
) -> Response:
    config = resources.config
    tenant_id = config.shown_tenant_id
    tab = tab if tab in TABS else "general"
    page = ActionPage(
        detail=detail or await load_action(session, tenant_id, control_id),
        tab=tab,
        tickets=await tickets_of_action(session, control_id),
        notes=await load_notes(session, tenant_id, control_id) if tab == "general" else [],
        history=await load_history(session, tenant_id, control_id) if tab == "history" else History(),
        link=config.public_url + url_for("actions.detail", control_id=control_id),
        today=clock.earliest_day(clock.now()),
        viewer_id=viewer.person_id,
        may_share=viewer.may_share,
        may_edit=viewer.may_manage,
        cloud=config.microsoft_cloud,
        writes_back=config.secure_score_write_back and config.shown_tenant_id == config.tenant_id,
        typed=typed or {},
        errors=errors or {},
        problem=problem,
    )
    status = 422 if errors else 409 if problem else 200
    return render(request, "actions/action.html", page, status=status)
