"""Counts and traces every request by the name of its route. Decides nothing, and never sees a body."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.metrics import count_request
from app.core.tracing import span
from app.web.request_log import CLIENT_GONE, NO_ROUTE, QUIET_PATHS, route_name

# A method is the caller's word. Each value of a label is a series of its own, so made-up ones count as one.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MonitoringMiddleware:
    """The outermost layer, so that what other layers refuse is counted as well."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), CLIENT_GONE
        method = scope["method"] if scope["method"] in METHODS else "other"

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with span(f"http {method}", http_method=method) as recorded:
            try:
                await self._app(scope, receive, send_noted)
            except Exception:
                status = 500
                raise
            finally:
                route = _label(scope)
                count_request(route, method, status, time.monotonic() - started)
                recorded.set_attribute("http.route", route)
                recorded.set_attribute("http.status", status)


def _label(scope: Scope) -> str:
    """The route's name, `static`, or `none` where no route fits; never a path, which holds ids."""
    return route_name(scope) or ("static" if scope["path"].startswith(QUIET_PATHS) else NO_ROUTE)
