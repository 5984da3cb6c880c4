"""Sends browsers from earlier addresses of pages, kept in bookmarks, to their present ones. Shows nothing itself."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app.web.routing import PageRouter, url_for

router = PageRouter()


# 308 Permanent Redirect lets browsers update what they remember, and is never turned into another method: RFC 9110 15.4.9.
def _moved(request: Request, name: str) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(url_for(name) + query, 308)


@router.get("/servicenow/exchanged", name="moved.data_exchange")
async def data_exchange(request: Request) -> Response:
    return _moved(request, "servicenow.data_exchange")


@router.get("/servicenow/check", name="moved.diagnosis")
async def diagnosis(request: Request) -> Response:
    return _moved(request, "diagnosis.page")
