"""The home page, the refresh of its cards, and each person's arrangement of them. What a card holds is in home_cards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from app.core.errors import NotFound
from app.core.messages import Message
from app.core.queue_health import has_worker
from app.features.accounts.home_layout import forget_cards, keep_cards, kept_cards
from app.features.connection.connection_view import consent_notice
from app.features.tickets.polling.poll_status import record_view
from app.features.tickets.types import TicketKind
from app.web.dependencies import Db, Res, Viewer
from app.web.forms import read_form
from app.web.home_cards import (
    BY_NAME,
    Card,
    CardContent,
    HomeData,
    ResultsContent,
    addable_cards,
    possible_cards,
    wanted_cards,
)
from app.web.home_order import in_order, moved
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter()

STEPS = {"earlier": -1, "later": 1}


@dataclass(frozen=True)
class Arrangement:
    """Which cards one person wants, which of them can be shown now, and which could be added."""

    is_own: bool
    wanted: list[str]
    shown: list[Card]
    addable: list[Card]

    @property
    def names(self) -> list[str]:
        """The cards on the page, in order."""
        return [card.name for card in self.shown]


@dataclass(frozen=True)
class HomePage:
    """`missing` says once per finding of provisioning why a card is not shown. `is_own`: the person changed something.

    `consent` tells those who can renew it that it ends soon, or has ended.
    """

    cards: Sequence[tuple[Card, CardContent]]
    addable: Sequence[Card]
    is_own: bool
    needs_attention: bool
    missing: Sequence[Message]
    consent: Message | None
    may_manage: bool
    has_worker: bool

    @property
    def has_plot(self) -> bool:
        """Whether the page needs the chart script."""
        return any(content.has_plot for _, content in self.cards)


@router.get("/", name="home.page")
async def home(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    data = HomeData(session, viewer, resources.config)
    arrangement = await _arrangement(data)
    # Only the cards on the page are loaded: a card that a person removed costs no statement.
    data.kinds = tuple(kind for kind in TicketKind if kind in arrangement.names)
    cards = [(card, await card.load(data)) for card in arrangement.shown]
    page = HomePage(
        cards=cards,
        addable=arrangement.addable,
        is_own=arrangement.is_own,
        needs_attention=data.connection is not None and data.connection.status != "connected",
        missing=data.missing.sentences,
        consent=consent_notice(data.connection) if data.connection is not None and viewer.may_manage else None,
        may_manage=viewer.may_manage,
        has_worker=await has_worker(session),
    )
    return render(request, "home/page.html", page)


# Each person edits only their own layout, so Viewer is enough for the following writes.
@router.post("/home-cards/add", name="home.add_card")
async def add(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    arrangement = await _arrangement(HomeData(session, viewer, resources.config))
    name = (await read_form(request)).get("card", "")
    if name in {card.name for card in arrangement.addable}:
        await keep_cards(session, viewer.person_id, [*arrangement.wanted, name])
    return _home(name)


@router.post("/home-cards/move", name="home.move_card")
async def move(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """A card changes places with the one before or after it."""
    arrangement = await _arrangement(HomeData(session, viewer, resources.config))
    typed = await read_form(request)
    name, step = typed.get("card", ""), STEPS.get(typed.get("to", ""), 0)
    await keep_cards(session, viewer.person_id, moved(arrangement.wanted, arrangement.names, name, step))
    return _home(name)


@router.post("/home-cards/remove", name="home.remove_card")
async def remove(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    arrangement = await _arrangement(HomeData(session, viewer, resources.config))
    name = (await read_form(request)).get("card", "")
    await keep_cards(session, viewer.person_id, [wanted for wanted in arrangement.wanted if wanted != name])
    return _home()


@router.post("/home-cards/order", name="home.order_cards")
async def order(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """Cards were dragged: all that are shown, in their new order, separated by commas."""
    arrangement = await _arrangement(HomeData(session, viewer, resources.config))
    asked = (await read_form(request)).get("order", "").split(",")
    await keep_cards(session, viewer.person_id, in_order(arrangement.wanted, asked))
    return Response(status_code=204)


@router.post("/home-cards/reset", name="home.reset_cards")
async def reset(viewer: Viewer, session: Db) -> Response:
    await forget_cards(session, viewer.person_id)
    return _home()


@router.get("/tickets-and-results", name="home.results")
async def all_results(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """The results card's whole list."""
    data = HomeData(session, viewer, resources.config)
    await data.read_connection()
    results = await data.results()
    return render(request, "home/results.html", ResultsContent(results, len(results.lines), viewer.may_share))


@router.get("/cards/{name}", name="home.card")
async def refreshed_card(request: Request, viewer: Viewer, session: Db, resources: Res, name: str) -> Response:
    """One card again; static/js/refresh.js leaves the page as it is when nothing on it has changed."""
    card = BY_NAME.get(name)
    if card is None or not card.refreshes or not viewer.has(card.role):
        raise NotFound
    data = HomeData(session, viewer, resources.config)
    await data.read_connection()
    if data.connection is None:
        raise NotFound
    data.kinds = tuple(kind for kind in TicketKind if kind == name)
    # The open page is the sign that the states are being looked at: ServiceNow is polled every minute meanwhile.
    await record_view(session, resources.queue, await data.poll())
    return render(request, card.template, await card.load(data))


def _home(name: str = "") -> Response:
    return redirect_to("home.page", anchor=f"home-card-{name}" if name in BY_NAME else "")


async def _arrangement(data: HomeData) -> Arrangement:
    """What the person keeps. A card that cannot be shown now, such as a ticket card before connecting, keeps its place."""
    await data.read_setup()
    kept = await kept_cards(data.session, data.viewer.person_id)
    wanted = wanted_cards(kept, data.viewer)
    possible = possible_cards(
        data.missing.hidden, is_connected=data.connection is not None, has_tickets=data.has_tickets
    )
    shown = [BY_NAME[name] for name in wanted if name in possible]
    return Arrangement(kept is not None, wanted, shown, addable_cards(wanted, possible, data.viewer))
