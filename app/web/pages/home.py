"""The home page: the score, the connection, and the two ticket cards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.features.connection.access import active_connection
from app.features.provisioning.readiness import connection_and_missing
from app.features.secure_score.score_summary import ScoreCard, score_card
from app.features.tickets.cards import TicketCard, ticket_cards
from app.features.tickets.freshness import note_look, watch
from app.features.tickets.jobs import refresh
from app.features.tickets.results import Results, ticket_results
from app.features.tickets.ticket import Kind
from app.foundation.errors import NotFound
from app.foundation.text import T, Text
from app.web.dependencies import Db, Res, Viewer
from app.web.templating import render, render_text

router = APIRouter()

RESULTS_SHOWN = 6
TITLES: dict[Kind, Text] = {
    Kind.CHANGE: T("ServiceNow change management"),
    Kind.INCIDENT: T("ServiceNow incident management"),
}


@dataclass(frozen=True)
class CardPart:
    """One ticket card, with what its reader may do."""

    card: TicketCard
    title: Text
    may_share: bool
    may_manage: bool


@dataclass(frozen=True)
class ResultsPart:
    """What finished work brought; `shown` is how many lines the card has room for."""

    results: Results
    shown: int
    may_share: bool


@dataclass(frozen=True)
class HomePage:
    """`missing` says why a card is not shown, once for each thing that provisioning found."""

    score: ScoreCard | None
    is_connected: bool
    needs_attention: bool
    missing: Sequence[Text]
    instance: str
    cards: list[CardPart]
    results: ResultsPart | None
    may_manage: bool
    may_share: bool


@router.get("/")
async def home(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """Where everybody arrives."""
    connection, missing = await connection_and_missing(session)
    seen = await watch(session, connection)
    found = await ticket_cards(session, connection, seen) if connection else []
    cards = [
        CardPart(one, TITLES[Kind(one.kind)], viewer.may_share, viewer.may_manage)
        for one in found
        if one.kind not in missing.hidden
    ]
    tenant_id = resources.config.shown_tenant_id
    results = await ticket_results(session, tenant_id, connection)
    page = HomePage(
        score=await score_card(session, tenant_id),
        is_connected=connection is not None,
        needs_attention=connection is not None and connection.status != "connected",
        missing=missing.sentences,
        instance=connection.instance_name if connection else "",
        cards=cards,
        results=ResultsPart(results, RESULTS_SHOWN, viewer.may_share) if results.lines else None,
        may_manage=viewer.may_manage,
        may_share=viewer.may_share,
    )
    return render(request, "home/page.html", page)


@router.get("/tickets-and-results")
async def all_results(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """The card's whole list."""
    connection = await active_connection(session)
    results = await ticket_results(session, resources.config.shown_tenant_id, connection)
    return render(request, "home/results.html", ResultsPart(results, len(results.lines), viewer.may_share))


@router.get("/cards/{kind}")
async def card(request: Request, viewer: Viewer, session: Db, resources: Res, kind: str) -> Response:
    """One card again; 304 when nothing on it has changed."""
    if kind not in {known.value for known in Kind}:
        raise NotFound
    connection = await active_connection(session)
    if connection is None:
        raise NotFound
    seen = await watch(session, connection)
    await note_look(session, resources.queue, refresh, seen)
    (found,) = await ticket_cards(session, connection, seen, [Kind(kind)])
    part = CardPart(found, TITLES[Kind(kind)], viewer.may_share, viewer.may_manage)
    text = render_text(request, "home/_ticket_card.html", part)
    tag = f'"{sha256(text.encode()).hexdigest()[:32]}"'
    # Kept by the browser, and asked for again each time: that is what makes it send the tag.
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Cookie, HX-Request"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="text/html", headers=headers)
