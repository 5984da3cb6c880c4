"""Note that a request was refused: a log line always, and an audit entry where the person is known. Answers nothing."""

from __future__ import annotations

from typing import Literal

from fastapi import Request
from starlette.types import Scope

from app.core.logging import get_logger
from app.features.accounts.note_refusal import note_refusal
from app.features.accounts.permissions import Viewer
from app.web.request_log import route_name

log = get_logger(__name__)

Kind = Literal[
    "address", "cross_site", "front_channel", "metrics_token", "no_role", "other_address", "rate_limit", "role",
    "servicenow_callback", "sign_in", "status_token", "too_large",
]  # fmt: skip
# A refused value can be as long as a request; what helps is its beginning.
LONGEST_FACT = 200


async def note_refused(request: Request, kind: Kind, cause: str, **facts: str) -> None:
    """Log `refused.<kind>` with cause, method, route, the browser's address and the person; audit it for a known person."""
    _log(request.scope, kind, cause, facts)
    viewer: Viewer | None = getattr(request.state, "viewer", None)
    if viewer is not None:
        await note_refusal(
            request.app.state.resources.database,
            viewer,
            kind,
            cause,
            route=route_name(request.scope) or request.scope["path"][:LONGEST_FACT],
            method=request.method,
        )


def log_refused(scope: Scope, kind: Kind, cause: str, **facts: str) -> None:
    """The log line alone, for refusals before anyone asks who it is."""
    _log(scope, kind, cause, facts)


def _log(scope: Scope, kind: Kind, cause: str, facts: dict[str, str]) -> None:
    viewer, client = scope.get("state", {}).get("viewer"), scope.get("client")
    route, event = route_name(scope), f"refused.{kind}"
    log.warning(
        event,
        cause=cause[:LONGEST_FACT],
        method=scope["method"],
        **({"route": route} if route else {"path": scope["path"][:LONGEST_FACT]}),
        address=client[0] if client else "",
        **({"person": str(viewer.person_id)} if viewer is not None else {}),
        **{name: value[:LONGEST_FACT] for name, value in facts.items() if value},
    )
