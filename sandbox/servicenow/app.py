"""Puts the ServiceNow stand-in together as one web application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.console import ROUTES as CONSOLE
from sandbox.pages import page
from sandbox.servicenow import oauth, tables
from sandbox.servicenow.instance import Instance
from sandbox.servicenow.schema import ServiceNowSandbox
from sandbox.servicenow.troubled import Troubled

METHODS = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]


async def _front_door(_request: Request) -> Response:
    return RedirectResponse("/_sandbox/", 302)


async def _not_found(request: Request, error: Exception) -> Response:
    text = getattr(error, "detail", "") or "There is no such page in this instance."
    return page(request, "message.html", getattr(error, "status_code", 404), title="Not found", text=text)


def create_app(settings: ServiceNowSandbox) -> Troubled:
    """The stand-in; its `instance` holds the records. Trouble is outermost, so that it can cut the connection itself."""
    instance = Instance.start(settings)
    app = Starlette(
        routes=[
            Route("/", _front_door),
            Route("/oauth_auth.do", oauth.authorize),
            Route("/oauth_auth.do", oauth.decide, methods=["POST"]),
            Route("/oauth_login.do", oauth.login_page),
            Route("/login.do", oauth.login_page),
            Route("/login.do", oauth.login, methods=["POST"]),
            Route("/oauth_not_you.do", oauth.not_you),
            Route("/oauth_token.do", oauth.token, methods=["POST"]),
            Route("/oauth_revoke_token.do", oauth.revoke, methods=["GET", "POST"]),
            Route("/api/now/{path:path}", tables.handle, methods=METHODS),
            *CONSOLE,
        ],
        exception_handlers={404: _not_found},
    )
    app.state.instance = instance
    return Troubled(app, instance)
