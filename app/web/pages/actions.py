"""Improvement actions: the list and one action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from app.features.secure_score.lines import ActionLine, load_lines
from app.features.secure_score.list_view import (
    COLUMNS,
    COLUMNS_BY_NAME,
    FACETS,
    GROUPS,
    Column,
    FacetOptions,
    Listing,
    View,
    facet_options,
    list_actions,
)
from app.features.secure_score.show_action import ActionDetail, Event, Note, load_action, load_events, load_notes
from app.features.tickets.browse_tickets import TicketLine, tickets_by_action, tickets_of_action
from app.foundation.text import T, Text
from app.web.dependencies import Db, Res, Viewer
from app.web.templating import render

router = APIRouter(prefix="/secure-score/actions")


@dataclass(frozen=True)
class ListPage:
    """The list as its address asks for it. `anything` says whether there is any action at all."""

    view: View
    listing: Listing
    facets: list[FacetOptions]
    tickets: Mapping[str, list[TicketLine]]
    anything: bool
    may_share: bool

    columns: tuple[Column, ...] = COLUMNS

    @property
    def shown(self) -> list[Column]:
        """The columns of the table."""
        return [COLUMNS_BY_NAME[name] for name in self.view.columns]

    @property
    def groups(self) -> list[tuple[str, Text]]:
        """What one may group by."""
        labels = {facet.name: facet.label for facet in FACETS}
        return [(name, labels[name]) for name in GROUPS]

    @property
    def chosen(self) -> list[tuple[str, Text | str]]:
        """Every filter that is set: the address without it, and what it says."""
        found: list[tuple[str, Text | str]] = []
        for facet in FACETS:
            for value in self.view.chosen.get(facet.name, ()):
                said = T("%(facet)s: %(value)s", facet=facet.label, value=facet.name_of(value))
                found.append((list_address(self.view.without(facet.name, value)), said))
        return found

    def address(self, number: int) -> str:
        """This view, on another page."""
        return list_address(self.view.on_page(number))

    def sorting(self, column: Column) -> str:
        """This view, in the order of this column."""
        return list_address(self.view.sorted_by(column.name))

    @property
    def csv_address(self) -> str:
        """The same list as a file."""
        return "/secure-score/actions.csv?" + self.view.on_page(1).query()


@dataclass(frozen=True)
class ActionPage:
    """One action. `tab` is general, implementation or history."""

    detail: ActionDetail
    tab: str
    tickets: list[TicketLine]
    notes: list[Note]
    events: list[Event]
    link: str
    may_share: bool
    may_edit: bool

    @property
    def line(self) -> ActionLine:
        """The action in short."""
        return self.detail.line

    @property
    def description(self) -> Markup:
        """Sanitised by the room."""
        return Markup(self.detail.description_html)  # noqa: S704 - nh3 has been over it.

    @property
    def remediation(self) -> Markup:
        """Sanitised by the room."""
        return Markup(self.detail.remediation_html)  # noqa: S704 - nh3 has been over it.

    @property
    def remediation_impact(self) -> Markup:
        """Sanitised by the room."""
        return Markup(self.detail.remediation_impact_html)  # noqa: S704 - nh3 has been over it.

    @property
    def implementation(self) -> Markup:
        """Sanitised by the room."""
        return Markup(self.detail.implementation_html)  # noqa: S704 - nh3 has been over it.

    @property
    def mail_link(self) -> str:
        """A mail with title and link, to be addressed by whoever sends it."""
        fields = {"subject": self.line.title, "body": f"{self.line.title}\n{self.link}"}
        return "mailto:?" + urlencode(fields, quote_via=quote)

    @property
    def teams_link(self) -> str:
        """Teams' own share page. Source: learn.microsoft.com/microsoftteams/platform/concepts/build-and-test/share-to-teams"""
        return "https://teams.microsoft.com/share?" + urlencode({"href": self.link, "msgText": self.line.title})


TABS = ("general", "implementation", "history")


def list_address(view: View) -> str:
    """Where a view of the list is."""
    query = view.query()
    return "/secure-score/actions" + (f"?{query}" if query else "")


def action_path(control_id: str) -> str:
    """Where an action's page is; ids may hold dots, slashes and blanks."""
    return f"/secure-score/actions/{quote(control_id, safe='')}"


@router.get("")
async def list_page(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """The list; its whole state is in the address."""
    view = View.from_query(request.query_params.multi_items())
    lines = await load_lines(session, resources.config.shown_tenant_id)
    by_action: Mapping[str, list[TicketLine]] = {}
    if "ticket" in view.chosen:
        by_action = await tickets_by_action(session, [line.control_id for line in lines])
    listing = list_actions(lines, view, frozenset(by_action))
    if "ticket" not in view.chosen:
        by_action = await tickets_by_action(session, [line.control_id for line in listing.lines])
    page = ListPage(
        view=view,
        listing=listing,
        facets=facet_options(lines, view, frozenset(by_action)),
        tickets=by_action,
        anything=bool(lines),
        may_share=viewer.may_share,
    )
    return render(request, "actions/list.html", page)


@router.get("/{control_id:path}")
async def action_page(
    request: Request, viewer: Viewer, session: Db, resources: Res, control_id: str, tab: str = "general"
) -> Response:
    """One action."""
    tenant_id = resources.config.shown_tenant_id
    detail = await load_action(session, tenant_id, control_id)
    page = ActionPage(
        detail=detail,
        tab=tab if tab in TABS else "general",
        tickets=await tickets_of_action(session, control_id),
        notes=await load_notes(session, tenant_id, control_id) if tab not in TABS[1:] else [],
        events=await load_events(session, tenant_id, control_id) if tab == "history" else [],
        link=resources.config.public_url + action_path(control_id),
        may_share=viewer.may_share,
        may_edit=viewer.may_manage,
    )
    return render(request, "actions/action.html", page)
