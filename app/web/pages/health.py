"""For load balancers: whether the process lives, and whether it can do its work."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from app.core.database import is_ready
from app.features.connection.key_rotation import opens_what_is_stored
from app.web.dependencies import Res

router = APIRouter(prefix="/health")
# For operators, in the words of the log.
WRONG_KEYS = (
    "VAULT_KEYS of this process do not open the stored tokens: add the key that sealed them and restart; "
    "if it is lost, run discard-unreadable-secrets and authorize the connection again"
)


@router.get("/live")
async def live() -> Response:
    """The process answers."""
    return PlainTextResponse("live")


@router.get("/ready")
async def ready(resources: Res) -> Response:
    """The database answers, its tables are of this version, and our keys open what is in it; 503 when not."""
    problem = await is_ready(resources.database, resources.expected_revision)
    if not problem and not await opens_what_is_stored(resources):
        problem = WRONG_KEYS
    if problem:
        return JSONResponse({"ready": False, "problem": problem}, 503)
    return JSONResponse({"ready": True})
