"""The home page: the score, the connection, the ticket cards, and what else its reader wants to see there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from app.core.errors import NotFound
from app.core.messages import Message
from app.features.accounts import permissions
from app.features.accounts.home_layout import forget_cards, keep_cards, kept_cards
from app.features.connection.active_connection import active_connection
from app.features.provisioning.readiness import connection_and_missing
from app.features.secure_score.reports.no_score import NoScore, why_no_score
from app.features.secure_score.reports.overview import ActionSummary, summary_of_actions
from app.features.secure_score.reports.score_summary import ScoreCard, score_card
from app.features.secure_score.sync.runs import RunLine, list_runs
from app.features.tickets.polling.poll_status import poll_status, record_view
from app.features.tickets.types import TicketKind
from app.features.tickets.views.outcomes import OutcomeSummary, ticket_results
from app.features.tickets.views.ticket_cards import TicketCard, ticket_cards
from app.web.dependencies import Db, Res, Viewer
from app.web.forms import read_form
from app.web.home_cards import BY_NAME, HomeCard, in_order, left_to_add, moved, wanted_cards
from app.web.templating import render, render_text

router = APIRouter()

RESULTS_SHOWN = 6
OF_ACTIONS = frozenset({"review", "top", "categories"})
STEPS = {"earlier": -1, "later": 1}


@dataclass(frozen=True)
class CardPart:
    """One ticket card, with what its reader may do."""

    card: TicketCard
    title: Message
    may_share: bool
    may_manage: bool


@dataclass(frozen=True)
class ResultsPart:
    """What finished work brought; `shown` is how many lines the card has room for."""

    results: OutcomeSummary
    shown: int
    may_share: bool


@dataclass(frozen=True)
class CardState:
    """Which cards one person wants, which of them can be shown just now, and which could be added."""

    is_own: bool
    wanted: list[str]
    shown: list[HomeCard]
    left: list[HomeCard]

    @property
    def names(self) -> list[str]:
        """The cards on the page, in order."""
        return [card.name for card in self.shown]


@dataclass(frozen=True)
class HomePage:
    """`missing` says why a card is not shown, once for each thing that provisioning found. `is_own` says that its reader
    changed something; a card that is not on the page is None or not in `tickets`.
    """

    shown: Sequence[HomeCard]
    left: Sequence[HomeCard]
    is_own: bool
    score: ScoreCard | None
    tickets: Mapping[str, CardPart]
    results: ResultsPart | None
    actions: ActionSummary | None
    run: RunLine | None
    nothing: NoScore | None
    needs_attention: bool
    missing: Sequence[Message]
    may_manage: bool
    may_share: bool


@router.get("/")
async def home(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """Where everybody arrives. Only what is shown is read."""
    connection, missing = await connection_and_missing(session)
    standing = await _standing(session, viewer, is_connected=connection is not None, hidden=missing.hidden)
    names, tenant_id = standing.names, resources.config.shown_tenant_id
    kinds = [TicketKind(name) for name in TicketKind if name in names]
    seen = await poll_status(session, connection) if kinds else None
    found = await ticket_cards(session, connection, seen, kinds) if connection and seen else []
    results = await ticket_results(session, tenant_id, connection) if "results" in names else None
    score = await score_card(session, tenant_id) if "score" in names else None
    actions = await summary_of_actions(session, tenant_id) if OF_ACTIONS.intersection(names) else None
    lacking = ("score" in names and score is None) or (OF_ACTIONS.intersection(names) and actions is None)
    page = HomePage(
        shown=standing.shown,
        left=standing.left,
        is_own=standing.is_own,
        score=score,
        tickets={one.kind: _part(one, viewer) for one in found},
        results=ResultsPart(results, RESULTS_SHOWN, viewer.may_share) if results else None,
        actions=actions,
        run=next(iter(await list_runs(session, tenant_id, limit=1)), None) if "imports" in names else None,
        nothing=await why_no_score(session, resources.config) if lacking else None,
        needs_attention=connection is not None and connection.status != "connected",
        missing=missing.sentences,
        may_manage=viewer.may_manage,
        may_share=viewer.may_share,
    )
    return render(request, "home/page.html", page)


# Who may look at the page may arrange it: these write nobody's page but the writer's own.
@router.post("/home-cards/add")
async def add(request: Request, viewer: Viewer, session: Db) -> Response:
    """One more card, at the end."""
    standing = await _standing_now(session, viewer)
    name = (await read_form(request)).get("card", "")
    if name in {card.name for card in standing.left}:
        await keep_cards(session, viewer.person_id, [*standing.wanted, name])
    return _home(name)


@router.post("/home-cards/move")
async def move(request: Request, viewer: Viewer, session: Db) -> Response:
    """A card changes places with the one before or after it."""
    standing, typed = await _standing_now(session, viewer), await read_form(request)
    name, step = typed.get("card", ""), STEPS.get(typed.get("to", ""), 0)
    await keep_cards(session, viewer.person_id, moved(standing.wanted, standing.names, name, step))
    return _home(name)


@router.post("/home-cards/remove")
async def remove(request: Request, viewer: Viewer, session: Db) -> Response:
    """A card goes; it can be added again."""
    standing = await _standing_now(session, viewer)
    name = (await read_form(request)).get("card", "")
    await keep_cards(session, viewer.person_id, [wanted for wanted in standing.wanted if wanted != name])
    return _home()


@router.post("/home-cards/order")
async def order(request: Request, viewer: Viewer, session: Db) -> Response:
    """Cards were dragged: all that are shown, in their new order."""
    standing = await _standing_now(session, viewer)
    asked = (await read_form(request)).get("order", "").split(",")
    await keep_cards(session, viewer.person_id, in_order(standing.wanted, asked))
    return Response(status_code=204)


@router.post("/home-cards/reset")
async def reset(viewer: Viewer, session: Db) -> Response:
    """The usual cards again."""
    await forget_cards(session, viewer.person_id)
    return _home()


@router.get("/tickets-and-results")
async def all_results(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """The card's whole list."""
    connection = await active_connection(session)
    results = await ticket_results(session, resources.config.shown_tenant_id, connection)
    return render(request, "home/results.html", ResultsPart(results, len(results.lines), viewer.may_share))


@router.get("/cards/{kind}")
async def card(request: Request, viewer: Viewer, session: Db, resources: Res, kind: str) -> Response:
    """One card again; 304 when nothing on it has changed."""
    if kind not in {known.value for known in TicketKind}:
        raise NotFound
    connection = await active_connection(session)
    if connection is None:
        raise NotFound
    seen = await poll_status(session, connection)
    await record_view(session, resources.queue, seen)
    (found,) = await ticket_cards(session, connection, seen, [TicketKind(kind)])
    text = render_text(request, "home/_ticket_card.html", _part(found, viewer))
    tag = f'"{sha256(text.encode()).hexdigest()[:32]}"'
    # Kept by the browser, and asked for again each time: that is what makes it send the tag.
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Cookie, HX-Request"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="text/html", headers=headers)


def _part(card: TicketCard, viewer: permissions.Viewer) -> CardPart:
    return CardPart(card, BY_NAME[card.kind].title, viewer.may_share, viewer.may_manage)


def _home(name: str = "") -> Response:
    """Back to the page, at this card."""
    return RedirectResponse(f"/#home-card-{name}" if name in BY_NAME else "/", 303)


async def _standing_now(session: Db, viewer: permissions.Viewer) -> CardState:
    connection, missing = await connection_and_missing(session)
    return await _standing(session, viewer, is_connected=connection is not None, hidden=missing.hidden)


async def _standing(
    session: Db, viewer: permissions.Viewer, *, is_connected: bool, hidden: frozenset[str]
) -> CardState:
    """A card that cannot be shown just now (the ticket cards before anything is connected) keeps its place for later."""
    kept = await kept_cards(session, viewer.person_id)
    wanted = wanted_cards(kept, viewer)
    impossible = {"connect", *hidden} if is_connected else {*TicketKind, "results"}
    possible = [name for name in BY_NAME if name not in impossible]
    shown = [BY_NAME[name] for name in wanted if name in possible]
    return CardState(kept is not None, wanted, shown, left_to_add(wanted, possible, viewer))
