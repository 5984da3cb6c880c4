"""Metrics for Prometheus: what this process has counted, and what the database knows. Guarded by a token."""

from __future__ import annotations

import secrets

from fastapi import Request
from fastapi.responses import PlainTextResponse, Response

from app.core.database_trouble import DATABASE_ERRORS
from app.core.metrics import CONTENT_TYPE, process_metrics
from app.features.operation.stored_metrics import Reading, as_text, read_metrics
from app.web.dependencies import Res
from app.web.note_refused import log_refused
from app.web.routing import PageRouter

router = PageRouter()


@router.get("/metrics", name="scrape.metrics")
async def metrics(request: Request, resources: Res) -> Response:
    """200 for the token of METRICS_TOKEN; 401 for another one; 404 while none is set, so that nothing is told by default.

    Also 200 while the database is away, with what this process has counted: that is when it is needed.
    """
    token = resources.config.metrics_token
    if not token:
        return PlainTextResponse("Metrics are off: METRICS_TOKEN is not set.\n", 404)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # Compared as bytes: compare_digest refuses text that is not ASCII. It takes the same time for every wrong token.
    if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), token.encode()):
        log_refused(request.scope, "metrics_token", "not valid" if given.strip() else "none sent")
        return PlainTextResponse("A token is needed: Authorization: Bearer …\n", 401, {"WWW-Authenticate": "Bearer"})
    try:
        async with resources.database.transaction() as session:
            readings = await read_metrics(session, resources.config.shown_tenant_id)
    except DATABASE_ERRORS:
        readings = [Reading("database_up", 0)]
    return Response(process_metrics() + as_text(readings), media_type=CONTENT_TYPE)
