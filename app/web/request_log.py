"""Log, count and trace each request by the name of its route; neither addresses with their values nor any body."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.logging import get_logger
from app.core.metrics import count_request
from app.core.tracing import span

log = get_logger(__name__)

# Asked for all day long, by open pages, probes and Prometheus: their successes would bury everything else.
QUIET_ROUTES = ("health.", "scrape.", "home.card")
QUIET_PATHS = "/static/"  # A mounted application is no route.
LONGEST_PATH = 200
NO_ROUTE = "none"
# What nginx writes when the browser went away before an answer began: no such status exists, so it can mean nothing else.
CLIENT_GONE = 499
# A method is the caller's word. Each value of a label is a series of its own, so made-up ones count as one.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestLogMiddleware:
    """The outermost middleware, so that what the others refuse has its line, and is counted, as well."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, size = time.monotonic(), 0, 0

        async def send_noted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        method = scope["method"] if scope["method"] in METHODS else "other"
        with span(f"http {method}", http_method=method) as recorded:
            try:
                await self._app(scope, receive, send_noted)
            except Exception:
                status = status or 500
                raise
            finally:
                status, seconds, label = status or CLIENT_GONE, time.monotonic() - started, _label(scope)
                count_request(label, method, status, seconds)
                recorded.set_attribute("http.route", label)
                recorded.set_attribute("http.status", status)
                _log(scope, status, size, round(seconds * 1000))


def route_name(scope: Scope) -> str:
    """The route's name, which has no ids in it; empty where no route matched."""
    return str(getattr(scope.get("route"), "name", None) or "")


def _label(scope: Scope) -> str:
    """The route's name, `static`, or `none` where no route fits; never a path, which holds ids."""
    return route_name(scope) or ("static" if scope["path"].startswith(QUIET_PATHS) else NO_ROUTE)


def _log(scope: Scope, status: int, size: int, milliseconds: int) -> None:
    route, viewer = route_name(scope), scope.get("state", {}).get("viewer")
    facts = {"method": scope["method"], "route": route or NO_ROUTE, "status": status, "ms": milliseconds, "bytes": size}
    if viewer is not None:
        facts["person"] = str(viewer.person_id)
    if not route:
        # Nothing of ours has this address; what is tried tells who probes.
        facts["path"] = scope["path"][:LONGEST_PATH]
    is_quiet = status < 400 and (route.startswith(QUIET_ROUTES) or scope["path"].startswith(QUIET_PATHS))
    # In the logger's context stand the ids already: SecurityMiddleware runs in the same task.
    (log.debug if is_quiet else log.info)("request.done", **facts)
