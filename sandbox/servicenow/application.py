"""Assemble the ServiceNow sandbox into one ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.console import ROUTES as CONSOLE
from sandbox.page_rendering import render_page
from sandbox.servicenow import (
    aggregate_api,
    attachment_api,
    batch_api,
    change_api,
    oauth_server,
    table_api,
    token_endpoint,
)
from sandbox.servicenow.fault_middleware import FaultMiddleware
from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.instance_settings import ServiceNowSandbox
from sandbox.servicenow.login import ROUTES as LOGIN
from sandbox.servicenow.request_context import ApiError, RequestContext, respond

METHODS = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]


async def _front_door(_request: Request) -> Response:
    return RedirectResponse("/_sandbox/", 302)


async def _not_found(request: Request, error: Exception) -> Response:
    text = getattr(error, "detail", "") or "There is no such page in this instance."
    return render_page(request, "message.html", getattr(error, "status_code", 404), title="Not found", text=text)


async def _no_such_api(request: Request) -> Response:
    # See docs/facts/servicenow.md#sandbox-27: authentication is checked before the path.

    async def refuse(_call: RequestContext) -> Response:
        raise ApiError(400, "Requested URI does not represent any resource")

    return await respond(request, "", refuse, limited=False)


class _ApiVersion(StringConvertor):
    regex = "v1|v2"


register_url_convertor("api_version", _ApiVersion())


def _api() -> list[Route]:
    # See docs/facts/servicenow.md#2-1-url-and-methods: every API answers with and without a version in the path.
    found = []
    for prefix in ("/api/now", "/api/now/{version:api_version}"):
        found += [
            Route(f"{prefix}/table/{{path:path}}", table_api.handle, methods=METHODS),
            Route(f"{prefix}/stats/{{table}}", aggregate_api.handle, methods=METHODS),
            Route(f"{prefix}/attachment", attachment_api.handle, methods=METHODS),
            Route(f"{prefix}/attachment/{{path:path}}", attachment_api.handle, methods=METHODS),
            Route(f"{prefix}/batch", batch_api.handle, methods=METHODS),
        ]
    found.append(Route("/api/sn_chg_rest/{path:path}", change_api.handle, methods=METHODS))
    found.append(Route("/api/{path:path}", _no_such_api, methods=METHODS))
    return found


def create_app(settings: ServiceNowSandbox) -> FaultMiddleware:
    """Create the application; its `instance` holds all state.

    Every call creates an independent instance; several can run side by side on their own ports and files.
    """
    instance = SandboxInstance.start(settings)
    app = Starlette(
        routes=[
            Route("/", _front_door),
            Route("/oauth_auth.do", oauth_server.authorize),
            Route("/oauth_auth.do", oauth_server.submit_consent, methods=["POST"]),
            Route("/oauth_token.do", token_endpoint.token, methods=["POST"]),
            Route("/oauth_revoke_token.do", oauth_server.revoke, methods=["GET", "POST"]),
            *LOGIN,
            *_api(),
            *CONSOLE,
        ],
        exception_handlers={404: _not_found},
    )
    app.state.instance = instance
    return FaultMiddleware(app, instance)
