"""Puts the ServiceNow stand-in together as one web application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.console import ROUTES as CONSOLE
from sandbox.pages import page
from sandbox.servicenow import batch, changes, oauth, stats, tables
from sandbox.servicenow.call import Call, Problem, answered
from sandbox.servicenow.instance import Instance
from sandbox.servicenow.login import ROUTES as LOGIN
from sandbox.servicenow.schema import ServiceNowSandbox
from sandbox.servicenow.troubled import Troubled

METHODS = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]


async def _front_door(_request: Request) -> Response:
    return RedirectResponse("/_sandbox/", 302)


async def _not_found(request: Request, error: Exception) -> Response:
    text = getattr(error, "detail", "") or "There is no such page in this instance."
    return page(request, "message.html", getattr(error, "status_code", 404), title="Not found", text=text)


async def _no_such_api(request: Request) -> Response:
    """27: an unknown path of the API, for a caller who is known."""

    async def refuse(_call: Call) -> Response:
        raise Problem(400, "Requested URI does not represent any resource")

    return await answered(request, "", refuse, limited=False)


def _api() -> list[Route]:
    """The REST APIs, with and without a version in the path."""
    found = []
    for prefix in ("/api/now", "/api/now/{version}"):
        found += [
            Route(f"{prefix}/table/{{path:path}}", tables.handle, methods=METHODS),
            Route(f"{prefix}/stats/{{table}}", stats.handle, methods=METHODS),
            Route(f"{prefix}/batch", batch.handle, methods=METHODS),
        ]
    found.append(Route("/api/sn_chg_rest/{path:path}", changes.handle, methods=METHODS))
    found.append(Route("/api/{path:path}", _no_such_api, methods=METHODS))
    return found


def create_app(settings: ServiceNowSandbox) -> Troubled:
    """The stand-in; its `instance` holds the records. Trouble is outermost, so that it can cut the connection itself.

    Each call makes an instance of its own: several may run side by side, on ports and with files of their own.
    """
    instance = Instance.start(settings)
    app = Starlette(
        routes=[
            Route("/", _front_door),
            Route("/oauth_auth.do", oauth.authorize),
            Route("/oauth_auth.do", oauth.decide, methods=["POST"]),
            Route("/oauth_token.do", oauth.token, methods=["POST"]),
            Route("/oauth_revoke_token.do", oauth.revoke, methods=["GET", "POST"]),
            *LOGIN,
            *_api(),
            *CONSOLE,
        ],
        exception_handlers={404: _not_found},
    )
    app.state.instance = instance
    return Troubled(app, instance)
