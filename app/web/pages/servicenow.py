"""Pages of the connection: status, data exchange, removal. Connecting is in connect.py."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from app.core.messages import Message
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.connection.disconnect import remove_connection
from app.features.connection.oauth_client import redirect_uri
from app.features.tickets.polling.poll_status import poll_status
from app.web.dependencies import Db, Manager, Res, Viewer
from app.web.forms import read_form
from app.web.templating import render

router = APIRouter(prefix="/servicenow")


@dataclass(frozen=True)
class StatusPage:
    """`stale_because` is why tickets are older than they should be, None while they are not."""

    connection: ConnectionView
    redirect_url: str
    stale_because: Message | None


@dataclass(frozen=True)
class ExchangedPage:
    """The data exchange page, which is there without a connection too."""

    connection: ConnectionView | None


@dataclass(frozen=True)
class RemovePage:
    """Asks for confirmation of the removal."""

    connection: ConnectionView


@router.get("")
async def show(request: Request, _viewer: Manager, resources: Res, session: Db) -> Response:
    connection = await connection_view(session)
    if connection is None:
        return RedirectResponse("/servicenow/connect", 303)
    seen = await poll_status(session, await active_connection(session))
    page = StatusPage(connection, redirect_uri(resources), seen.overall().problem)
    return render(request, "servicenow/status.html", page)


@router.get("/exchanged")
async def exchanged(request: Request, _viewer: Viewer, session: Db) -> Response:
    return render(request, "servicenow/exchanged.html", ExchangedPage(await connection_view(session)))


@router.get("/remove")
async def ask_to_remove(request: Request, _viewer: Manager, session: Db) -> Response:
    connection = await connection_view(session)
    if connection is None:
        return RedirectResponse("/servicenow/connect", 303)
    return render(request, "servicenow/remove.html", RemovePage(connection))


@router.post("/remove")
async def remove(request: Request, viewer: Manager, resources: Res, session: Db) -> Response:
    """Remove the connection that the page showed; one that changed since is shown for confirmation again."""
    connection = await connection_view(session)
    # The page named the connection that it asked about. Another administrator may have replaced it since.
    if connection is not None and (await read_form(request)).get("connection") != str(connection.id):
        return RedirectResponse("/servicenow/remove", 303)
    try:
        if connection is None:
            raise NotConnected
        removal = await remove_connection(resources, viewer, connection.id)
    except NotConnected:
        return RedirectResponse("/servicenow/connect", 303)
    # Whether ServiceNow confirmed the revocation is told on the page that comes next.
    return RedirectResponse(f"/servicenow/connect?removed={'revoked' if removal.revoked else 'unconfirmed'}", 303)
