"""The home page, the refresh of its cards, and each person's arrangement of them. What a card holds is in home_cards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fastapi import Request
from fastapi.responses import Response

from app.core.database import Session
from app.core.errors import NotFound
from app.features.accounts.asked import Asked
from app.features.accounts.home_layout import forget_cards, keep_cards
from app.features.provisioning.home_state import home_state
from app.features.tickets.polling.poll_status import record_view
from app.features.tickets.views.outcomes import OutcomeSummary, TicketOutcome, ticket_results
from app.web.dependencies import AskedNow, Db, Res, Viewer
from app.web.forms import read_form
from app.web.home_cards import BY_NAME
from app.web.home_fragments import Arrangement, HomeFragments, arranged
from app.web.home_order import in_order, moved
from app.web.kept_pages import answer_with_tag, fragments_of, views_of
from app.web.routing import PageRouter, redirect_to, url_for
from app.web.templating import render

router = PageRouter()

STEPS = {"earlier": -1, "later": 1}
# Lines on one page of results. There is one for each action that became a ticket, so that two pages are rare.
RESULTS_PAGE_SIZE = 200


@dataclass(frozen=True)
class ResultsPage:
    """One page of the results; `shown` is the number of its lines."""

    results: OutcomeSummary
    shown: int
    may_share: bool
    page: int
    pages: int

    @staticmethod
    def address(number: int) -> str:
        return url_for("home.results", page=number)


@router.get("/", name="home.page")
async def home(request: Request, _viewer: Viewer, asked: AskedNow, resources: Res) -> Response:
    body = await HomeFragments(fragments_of(request), resources, asked).page()
    return answer_with_tag(request, body.parts, body.tag)


# Each person edits only their own layout, so Viewer is enough for the following writes.
@router.post("/home-cards/add", name="home.add_card")
async def add(request: Request, viewer: Viewer, asked: AskedNow, session: Db) -> Response:
    arrangement = await _arrangement(session, asked)
    name = (await read_form(request)).get("card", "")
    if name in {card.name for card in arrangement.addable}:
        await keep_cards(session, viewer.person_id, [*arrangement.wanted, name])
    return _home(name)


@router.post("/home-cards/move", name="home.move_card")
async def move(request: Request, viewer: Viewer, asked: AskedNow, session: Db) -> Response:
    """A card changes places with the one before or after it."""
    arrangement = await _arrangement(session, asked)
    typed = await read_form(request)
    name, step = typed.get("card", ""), STEPS.get(typed.get("to", ""), 0)
    await keep_cards(session, viewer.person_id, moved(arrangement.wanted, arrangement.names, name, step))
    return _home(name)


@router.post("/home-cards/remove", name="home.remove_card")
async def remove(request: Request, viewer: Viewer, asked: AskedNow, session: Db) -> Response:
    arrangement = await _arrangement(session, asked)
    name = (await read_form(request)).get("card", "")
    await keep_cards(session, viewer.person_id, [wanted for wanted in arrangement.wanted if wanted != name])
    return _home()


@router.post("/home-cards/order", name="home.order_cards")
async def order(request: Request, viewer: Viewer, asked: AskedNow, session: Db) -> Response:
    """Cards were dragged: all that are shown, in their new order, separated by commas."""
    arrangement = await _arrangement(session, asked)
    order_asked = (await read_form(request)).get("order", "").split(",")
    await keep_cards(session, viewer.person_id, in_order(arrangement.wanted, order_asked))
    return Response(status_code=204)


@router.post("/home-cards/reset", name="home.reset_cards")
async def reset(viewer: Viewer, session: Db) -> Response:
    await forget_cards(session, viewer.person_id)
    return _home()


@router.get("/tickets-and-results", name="home.results")
async def all_results(request: Request, viewer: Viewer, session: Db, resources: Res, page: str = "1") -> Response:
    """The results card's whole list, page by page."""
    state = await home_state(session)
    tenant_id = resources.config.shown_tenant_id
    results = await ticket_results(session, tenant_id, state.results_of, state.context)
    pages = max(1, -(-len(results.lines) // RESULTS_PAGE_SIZE))
    number = min(int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1, pages) or 1
    lines: Sequence[TicketOutcome] = results.lines[(number - 1) * RESULTS_PAGE_SIZE : number * RESULTS_PAGE_SIZE]
    shown = replace(results, lines=list(lines))
    return render(request, "home/results.html", ResultsPage(shown, len(lines), viewer.may_share, number, pages))


@router.get("/cards/{name}", name="home.card")
async def refreshed_card(request: Request, viewer: Viewer, asked: AskedNow, resources: Res, name: str) -> Response:
    """One card again; static/js/refresh.js leaves the page as it is when nothing on it has changed."""
    card = BY_NAME.get(name)
    if card is None or not card.refreshes or not viewer.has(card.role):
        raise NotFound
    # The open page is the sign that the states are being looked at: ServiceNow is polled every minute meanwhile.
    views, connection = views_of(request), asked.versions.get("connection")
    if views.is_due(connection):
        async with resources.database.transaction() as session:
            await record_view(session, resources.queue)
        views.note(connection)
    found = await HomeFragments(fragments_of(request), resources, asked).card(card)
    return answer_with_tag(request, found.pieces, f'"{found.tag}"')


def _home(name: str = "") -> Response:
    return redirect_to("home.page", anchor=f"home-card-{name}" if name in BY_NAME else "")


async def _arrangement(session: Session, asked: Asked) -> Arrangement:
    return arranged(await home_state(session), asked)
