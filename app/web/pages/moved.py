"""Sends browsers from earlier addresses to their present ones: bookmarks, and pages open during an upgrade. Shows nothing."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from app.web.routing import PageRouter, redirect_to_path, url_for

router = PageRouter()


# Earlier path and method: the name of the route that answers now.
MOVED = {
    ("GET", "/servicenow/exchanged"): "servicenow.data_exchange",
    ("GET", "/servicenow/check"): "diagnosis.page",
    ("POST", "/servicenow/check"): "diagnosis.start",
    ("GET", "/servicenow/check/findings"): "diagnosis.findings",
    ("GET", "/servicenow/check/bundle.zip"): "diagnosis.bundle",
    ("POST", "/secure-score/action/status"): "actions.set_status",
    ("POST", "/secure-score/action/notes"): "actions.add_note",
    ("POST", "/secure-score/action/notes/remove"): "actions.remove_note",
    ("POST", "/secure-score/action/tags"): "actions.set_tags",
}


# 308 Permanent Redirect lets browsers update what they remember, and is never turned into another method: RFC 9110 15.4.9.
# What a form holds is sent again with it, so that nothing typed is lost.
async def moved(request: Request) -> Response:
    query = request.scope["query_string"].decode("ascii")
    return redirect_to_path(url_for(MOVED[request.method, request.scope["path"]]) + (f"?{query}" if query else ""), 308)


for method, path in MOVED:
    router.add_api_route(path, moved, methods=[method], name="moved." + MOVED[method, path].replace(".", "_"))
