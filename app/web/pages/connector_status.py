"""The connector's state for a widget in ServiceNow, by a read-only token; and the page where tokens are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from app.features.provisioning.status_api import connector_status
from app.features.provisioning.status_tokens import TokenLine, is_valid, list_tokens, make_token, revoke_token
from app.web.dependencies import Db, Manager, Res
from app.web.forms import read_form
from app.web.note_refused import note_refused
from app.web.rate_limits import TooManyRequests, rate_limits, visitor
from app.web.routing import PageRouter, redirect_to, url_for
from app.web.templating import render

router = PageRouter()
REFUSED = {"error": "A status token is needed: Authorization: Bearer scs1.…"}


@dataclass(frozen=True)
class TokensPage:
    """The existing tokens, and in `made` the one just made, which is shown only now."""

    tokens: Sequence[TokenLine]
    address: str
    made: str = ""


@router.get("/api/connector/status", name="connector_status.read")
async def status(request: Request, resources: Res, session: Db) -> Response:
    """The state, for a valid token; 401 for anything else."""
    # RFC 6750, section 2.1: the token is taken from the Authorization header only, because addresses end up in logs.
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not await is_valid(session, resources.vault, token.strip()):
        await note_refused(request, "status_token", "not valid" if token.strip() else "none sent")
        try:
            rate_limits(request).count("status_token", visitor(request))
        except TooManyRequests as refused:
            return JSONResponse(
                {"error": "Too many wrong tokens"}, refused.status, {**refused.headers, "Cache-Control": "no-store"}
            )
        # Without saying why: an unknown token, a forged and a revoked one look alike.
        return JSONResponse(REFUSED, 401, {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"})
    return JSONResponse(await connector_status(session), headers={"Cache-Control": "no-store"})


@router.get("/servicenow/status-tokens", name="connector_status.tokens")
async def show(request: Request, _viewer: Manager, resources: Res, session: Db) -> Response:
    page = TokensPage(await list_tokens(session), _address(resources.config.public_url))
    return render(request, "servicenow/status_tokens.html", page)


@router.post("/servicenow/status-tokens", name="connector_status.make_token")
async def make(request: Request, viewer: Manager, resources: Res, session: Db) -> Response:
    """Make a token and show it, on this page only."""
    form = await read_form(request)
    made = await make_token(session, resources.vault, viewer, form.get("name", ""))
    page = TokensPage(await list_tokens(session), _address(resources.config.public_url), made)
    return render(request, "servicenow/status_tokens.html", page, headers={"Cache-Control": "no-store"})


@router.post("/servicenow/status-tokens/{number}/revoke", name="connector_status.revoke_token")
async def revoke(viewer: Manager, session: Db, number: UUID) -> Response:
    await revoke_token(session, viewer, number)
    return redirect_to("connector_status.tokens")


def _address(public_url: str) -> str:
    return public_url + url_for("connector_status.read")
