"""Pages of the connection: status, data exchange, removal. Connecting is in connect.py."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from app.core.messages import Message
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.connection.disconnect import remove_connection
from app.features.connection.oauth_client import redirect_uri
from app.features.connection.preferences import load_preferences
from app.features.tickets.polling.poll_status import poll_status
from app.web.dependencies import Db, Manager, Res, Viewer
from app.web.forms import read_form
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter(prefix="/servicenow")


@dataclass(frozen=True)
class StatusPage:
    """`stale_because` is why tickets are older than they should be, None while they are not."""

    connection: ConnectionView
    redirect_url: str
    stale_because: Message | None


@dataclass(frozen=True)
class DataExchangePage:
    """What is exchanged; with whom, if anything is connected. `names_sender` as in Preferences."""

    connection: ConnectionView | None
    names_sender: bool


@dataclass(frozen=True)
class RemovePage:
    """Asks for confirmation of the removal."""

    connection: ConnectionView


@router.get("", name="servicenow.status")
async def show(request: Request, _viewer: Manager, resources: Res, session: Db) -> Response:
    connection = await connection_view(session)
    if connection is None:
        return redirect_to("connect.form")
    seen = await poll_status(session, await active_connection(session))
    page = StatusPage(connection, redirect_uri(resources), seen.overall().problem)
    return render(request, "servicenow/status.html", page)


@router.get("/data-exchange", name="servicenow.data_exchange")
async def data_exchange(request: Request, _viewer: Viewer, session: Db) -> Response:
    """What is received from ServiceNow and sent to it, for everybody who may look."""
    connection = await connection_view(session)
    preferences = await load_preferences(session, connection.id if connection else None)
    page = DataExchangePage(connection, preferences.names_sender)
    return render(request, "servicenow/data_exchange.html", page)


@router.get("/remove", name="servicenow.ask_removal")
async def ask_to_remove(request: Request, _viewer: Manager, session: Db) -> Response:
    connection = await connection_view(session)
    if connection is None:
        return redirect_to("connect.form")
    return render(request, "servicenow/remove.html", RemovePage(connection))


@router.post("/remove", name="servicenow.remove")
async def remove(request: Request, viewer: Manager, resources: Res, session: Db) -> Response:
    """Remove the connection that the page showed; one that changed since is shown for confirmation again."""
    connection = await connection_view(session)
    # The page named the connection that it asked about. Another administrator may have replaced it since.
    if connection is not None and (await read_form(request)).get("connection") != str(connection.id):
        return redirect_to("servicenow.ask_removal")
    try:
        if connection is None:
            raise NotConnected
        removal = await remove_connection(resources, viewer, connection.id)
    except NotConnected:
        return redirect_to("connect.form")
    # Whether ServiceNow confirmed the revocation is told on the page that comes next.
    return redirect_to("connect.form", removed="revoked" if removal.revoked else "unconfirmed")
