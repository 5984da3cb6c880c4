"""Answers the home page and its cards where all of their fragments are kept, before FastAPI works out any dependency.

An open browser asks for each card every 15 seconds and is nearly always told that nothing changed; working out a route's
dependencies takes several times as long as that answer. Nothing is decided here that app/web/pages/home.py does not decide by
the same functions, and everything else is left to it: who is not signed in, what has to be made or written, each refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from app.features.tickets.polling.poll_status import RecordedViews
from app.web.dependencies import asked_within, find_signed_in, resources_of
from app.web.fragments import Fragments
from app.web.home_cards import BY_NAME
from app.web.home_fragments import HomeFragments
from app.web.routing import named_routes, url_for

HOME, CARD = "home.page", "home.card"
# The mark in the scope of a request that this route has passed on.
PASSED = "app.passed_by_kept_pages"


class KeptPages(BaseRoute):
    """The first route of the application. What it does not answer goes through all routes again."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_theirs = scope["type"] == "http" and scope["method"] == "GET" and PASSED not in scope
        return (Match.FULL if is_theirs and (_is_home(scope) or _is_card(scope["path"])) else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        # By its name the request is logged, and it is known whether the page refreshes itself.
        scope["route"] = named_routes()[HOME if _is_home(scope) else CARD]
        answer = await _kept_answer(Request(scope, receive))
        if answer is not None:
            await answer(scope, receive, send)
            return
        del scope["route"]
        scope[PASSED] = True
        await scope["router"](scope, receive, send)


@cache
def _home() -> str:
    # Routes have their names once the pages are imported, which is after this module.
    return url_for(HOME)


def _is_home(scope: Scope) -> bool:
    return bool(scope["path"] == _home())


@cache
def _cards() -> str:
    """What the address of every card begins with."""
    return url_for(CARD, name="")


def _is_card(path: str) -> bool:
    """Whether the route of cards has this address. The folder is none: else its name without the slash would lead to it."""
    name = path.removeprefix(_cards())
    return name not in ("", path) and "/" not in name


async def _kept_answer(request: Request) -> Response | None:
    """The answer of the route itself, where it needs nothing but what is kept. Asks the one question of the request."""
    viewer = await find_signed_in(request)
    if viewer is None or viewer.role is None:
        return None
    home = HomeFragments(fragments_of(request), resources_of(request), request.state.asked)
    if _is_home(request.scope):
        body = home.kept_page()
        return None if body is None else answer_with_tag(request, body.parts, body.tag)
    card = BY_NAME.get(request.scope["path"].removeprefix(_cards()))
    if card is None or not card.refreshes or not viewer.has(card.role):
        return None
    found = home.kept_card(card)
    if found is None or views_of(request).is_due(request.state.asked.versions.get("connection")):
        return None
    return answer_with_tag(request, found.pieces, f'"{found.tag}"')


def fragments_of(request: Request) -> Fragments:
    """What this process keeps."""
    found: Fragments = request.app.state.fragments
    return found


def views_of(request: Request) -> RecordedViews:
    found: RecordedViews = request.app.state.recorded_views
    return found


def answer_with_tag(request: Request, parts: Sequence[bytes], tag: str) -> Response:
    """The text, or 304 for who has it. Cache-Control stays no-store: docs/decisions/0012-kept-fragments.md."""
    sent = ",".join(request.headers.getlist("if-none-match"))
    known = [one.strip().removeprefix("W/") for one in sent.split(",")]
    # https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2: a weak comparison, and "*" is any text. A page asked for inside
    # another request is wanted whole, whatever the browser has.
    if (tag.removeprefix("W/") in known or known == ["*"]) and not asked_within(request):
        return Response(status_code=304, headers={"ETag": tag})
    return HTMLResponse(b"".join(parts), headers={"ETag": tag})
