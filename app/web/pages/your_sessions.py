"""The page of a person's own sessions: where they are signed in, and the end of one of them or of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response

from app.core.messages import Message
from app.features.accounts.own_sessions import OwnSession, end_all_own_sessions, end_own_session, list_own_sessions
from app.web.browser_names import browser_in_words
from app.web.cookies import forget_everything
from app.web.dependencies import Db, Res, Viewer, session_token
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter(prefix="/account/sessions")


@dataclass(frozen=True)
class SessionLine:
    """One session, with its browser in words."""

    session: OwnSession
    browser: Message


@dataclass(frozen=True)
class YourSessionsPage:
    """The open sessions, this one first. `idle_minutes` and `hours` are when one ends by itself."""

    lines: Sequence[SessionLine]
    idle_minutes: int
    hours: int


@router.get("", name="your_sessions.page")
async def show(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    config = resources.config
    found = await list_own_sessions(session, config, viewer, session_token(request))
    lines = [SessionLine(one, browser_in_words(one.user_agent)) for one in found]
    page = YourSessionsPage(lines, config.session_idle_minutes, config.session_hours)
    return render(request, "account/sessions.html", page)


@router.post("/{session_id}/end", name="your_sessions.end")
async def end(viewer: Viewer, session: Db, session_id: UUID) -> Response:
    await end_own_session(session, viewer, session_id)
    return redirect_to("your_sessions.page")


@router.post("/end-all", name="your_sessions.end_all")
async def end_all(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """Sign out everywhere, here as well."""
    await end_all_own_sessions(session, viewer)
    response = redirect_to("sign_out.page")
    forget_everything(response, resources.config.public_url, request.cookies)
    return response
