"""The home page: the score, the connection, and the two ticket cards."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.features.connection.access import active_connection
from app.features.secure_score.score_summary import ScoreCard, score_card
from app.features.tickets.cards import TicketCard, ticket_card
from app.features.tickets.freshness import note_look
from app.features.tickets.jobs import refresh
from app.features.tickets.ticket import Kind
from app.foundation.errors import NotFound
from app.foundation.text import T, Text
from app.web.dependencies import Db, Res, Viewer
from app.web.templating import render, render_text

router = APIRouter()

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
class HomePage:
    """`attention` is what a person must do for the connection, None while it is well."""

    score: ScoreCard | None
    is_connected: bool
    needs_attention: bool
    instance: str
    cards: list[CardPart]
    may_manage: bool
    may_share: bool


@router.get("/")
async def home(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """Where everybody arrives."""
    connection = await active_connection(session)
    await note_look(session, resources.queue, refresh)
    cards = [
        CardPart(await ticket_card(session, kind), title, viewer.may_share, viewer.may_manage)
        for kind, title in TITLES.items()
        if connection is not None
    ]
    page = HomePage(
        score=await score_card(session, resources.config.shown_tenant_id),
        is_connected=connection is not None,
        needs_attention=connection is not None and connection.status == "needs_attention",
        instance=connection.instance_name if connection else "",
        cards=cards,
        may_manage=viewer.may_manage,
        may_share=viewer.may_share,
    )
    return render(request, "home/page.html", page)


@router.get("/cards/{kind}")
async def card(request: Request, viewer: Viewer, session: Db, resources: Res, kind: str) -> Response:
    """One card again; 304 when nothing on it has changed."""
    if kind not in {known.value for known in Kind}:
        raise NotFound
    await note_look(session, resources.queue, refresh)
    part = CardPart(await ticket_card(session, kind), TITLES[Kind(kind)], viewer.may_share, viewer.may_manage)
    text = render_text(request, "home/_ticket_card.html", part)
    tag = f'"{sha256(text.encode()).hexdigest()[:32]}"'
    # Kept by the browser, and asked for again each time: that is what makes it send the tag.
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Cookie, HX-Request"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="text/html", headers=headers)
