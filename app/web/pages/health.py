"""Liveness and readiness for load balancers and orchestrators. Needs no sign-in and tells no secret."""

from __future__ import annotations

from fastapi.responses import JSONResponse, PlainTextResponse, Response

from app.core.database_trouble import DATABASE_ERRORS
from app.core.schema_guard import readiness_problem
from app.features.connection.key_rotation import opens_what_is_stored
from app.resources import Resources
from app.web.dependencies import Res
from app.web.routing import PageRouter
from app.web.unavailable import RETRY_AFTER_SECONDS

router = PageRouter(prefix="/health")
# Read by operators, so not translated.
WRONG_KEYS = (
    "VAULT_KEYS of this process do not open the stored tokens: add the key that sealed them and restart; "
    "if it is lost, run discard-unreadable-secrets and authorize the connection again"
)


@router.get("/live", name="health.live")
async def live() -> Response:
    # Liveness answers without the database: restarting the process would not bring the database back.
    # https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
    return PlainTextResponse("live")


@router.get("/ready", name="health.ready")
async def ready(resources: Res) -> Response:
    """200 when the database answers, its schema is this version's and our keys open its secrets; 503 with the reason."""
    problem = await readiness_problem(resources.database, resources.expected_revision) or await _wrong_keys(resources)
    if problem:
        return JSONResponse({"ready": False, "problem": problem}, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})
    return JSONResponse({"ready": True})


async def _wrong_keys(resources: Resources) -> str:
    try:
        return "" if await opens_what_is_stored(resources) else WRONG_KEYS
    except DATABASE_ERRORS:
        return "the database stopped answering"
