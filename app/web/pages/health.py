"""For load balancers: whether the process lives, and whether it can do its work."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from app.foundation.database import is_ready
from app.web.dependencies import Res

router = APIRouter(prefix="/health")


@router.get("/live")
async def live() -> Response:
    """The process answers."""
    return PlainTextResponse("live")


@router.get("/ready")
async def ready(resources: Res) -> Response:
    """The database answers and its tables are of this version; 503 when not."""
    problem = await is_ready(resources.database, resources.expected_revision)
    if problem:
        return JSONResponse({"ready": False, "problem": problem}, 503)
    return JSONResponse({"ready": True})
