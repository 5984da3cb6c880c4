"""Assemble the Entra ID and Graph sandboxes into one ASGI application on one port."""

from __future__ import annotations

import time
from datetime import date

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox import entra_discovery, entra_sign_in, entra_tokens
from sandbox.entra import EntraSandbox, EntraTenant
from sandbox.graph import ROUTES as GRAPH
from sandbox.graph_control import ROUTES as CONTROL
from sandbox.page_rendering import render_page
from sandbox.request_journal import JournalEntry, RequestJournal, redacted
from sandbox.tenant.tenant_data import Tenant, yesterday


async def _not_found(request: Request, _error: Exception) -> Response:
    return render_page(
        request, "message.html", 404, title="Not found", text="There is nothing at this address of the sandbox."
    )


class JournalMiddleware:
    """Record every request in the journal, except those of the console."""

    def __init__(self, app: ASGIApp, journal: RequestJournal) -> None:
        self._app = app
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox"):
            await self._app(scope, receive, send)
            return
        started = time.monotonic()

        async def noting(message: Message) -> None:
            # Recorded before the response is sent, so that a client can read its own entry.
            if message["type"] == "http.response.start":
                took = round((time.monotonic() - started) * 1000)
                query = redacted(scope["query_string"].decode("latin-1"))
                entry = JournalEntry(scope["method"], scope["path"], query, message["status"], "", milliseconds=took)
                self._journal.write(entry)
            await send(message)

        await self._app(scope, receive, noting)


def create_app(settings: EntraSandbox, newest: date | None = None) -> Starlette:
    """Create the application; `newest` is the day of the newest snapshot, by default always yesterday."""
    tenant = Tenant(settings.tenant_id, newest or yesterday(), follows_calendar=newest is None)
    app = Starlette(
        routes=[*GRAPH, *CONTROL, *entra_discovery.ROUTES, *entra_sign_in.ROUTES, *entra_tokens.ROUTES],
        exception_handlers={404: _not_found},
        middleware=[Middleware(JournalMiddleware, tenant.journal)],
    )
    app.state.directory = EntraTenant.start(settings)
    app.state.tenant = tenant
    return app
