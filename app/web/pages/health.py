"""Liveness and readiness for load balancers and orchestrators. Needs no sign-in and tells no secret."""

from __future__ import annotations

from fastapi.responses import JSONResponse, PlainTextResponse, Response

from app.core.database_trouble import DATABASE_ERRORS
from app.core.schema_guard import readiness_problem
from app.features.connection.key_rotation import KeyTrouble, key_trouble
from app.web.dependencies import Res
from app.web.routing import PageRouter
from app.web.unavailable import RETRY_AFTER_SECONDS

router = PageRouter(prefix="/health")
# Read by operators, so not translated.
WRONG_KEYS = (
    "VAULT_KEYS of this process do not open the stored tokens: add the key that sealed them and restart; "
    "if it is lost, run discard-unreadable-secrets and authorize the connection again"
)
MOVED_SECRETS = (
    "the stored tokens belong to another row or address: after an upgrade run migrate with the same VAULT_KEYS; otherwise "
    "the database was changed from outside: undo that, or authorize the connection again"
)


@router.get("/live", name="health.live")
async def live() -> Response:
    # Liveness answers without the database: restarting the process would not bring the database back.
    # https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
    return PlainTextResponse("live")


@router.get("/ready", name="health.ready")
async def ready(resources: Res) -> Response:
    """200 when the database answers and its schema is this version's; otherwise 503 with the reason.

    Keys that do not open the stored tokens make this process not ready only while another web process runs that holds the
    right ones: most pages need no key, and no web at all would be worse. Otherwise they are said in `finding`.
    """
    problem = await readiness_problem(resources.database, resources.expected_revision)
    trouble: KeyTrouble | None = None
    if not problem:
        try:
            trouble = await key_trouble(resources)
        except DATABASE_ERRORS:
            problem = "the database stopped answering"
    finding = "" if trouble is None else WRONG_KEYS if trouble.missing else MOVED_SECRETS
    if trouble is not None and trouble.another_web_can:
        problem = finding
    if problem:
        return JSONResponse({"ready": False, "problem": problem}, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})
    return JSONResponse({"ready": True, "finding": finding} if finding else {"ready": True})
