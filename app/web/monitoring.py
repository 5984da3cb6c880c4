"""Counts and traces every request by the name of its route. Decides nothing, and never sees a body."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.metrics import count_request
from app.core.tracing import span

# A method is the caller's word. Each value of a label is a series of its own, so made-up ones count as one.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# The client went away before an answer began; nginx logs the same number.
NO_ANSWER = 499


class MonitoringMiddleware:
    """The outermost layer, so that what other layers refuse is counted as well."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), NO_ANSWER
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
                route = route_name(scope)
                count_request(route, method, status, time.monotonic() - started)
                recorded.set_attribute("http.route", route)
                recorded.set_attribute("http.status", status)


def route_name(scope: Scope) -> str:
    """The route's name, `static`, or `none` where no route fits; never a path, which holds ids."""
    route = scope.get("route")
    name = getattr(route, "name", None)
    if name:
        return str(name)
    return "static" if scope["path"].startswith("/static/") else "none"
