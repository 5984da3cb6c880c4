"""Puts Entra ID and Graph together as one web application on one port."""

from __future__ import annotations

from datetime import date

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from sandbox.entra import ROUTES as ENTRA
from sandbox.entra import Directory, EntraSandbox
from sandbox.graph import ROUTES as GRAPH
from sandbox.graph import Tenant, yesterday
from sandbox.pages import page


async def _not_found(request: Request, _error: Exception) -> Response:
    return page(
        request, "message.html", 404, title="Not found", text="There is nothing at this address of the stand-in."
    )


def create_app(settings: EntraSandbox, newest: date | None = None) -> Starlette:
    """The stand-in; `newest` is the day of the newest snapshot, by default yesterday."""
    app = Starlette(routes=[*GRAPH, *ENTRA], exception_handlers={404: _not_found})
    app.state.directory = Directory.start(settings)
    app.state.tenant = Tenant(settings.tenant_id, newest or yesterday())
    return app
