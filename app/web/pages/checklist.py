"""Marks of the installation checklist, and the checklist as text. The checklist itself is on the set-up page."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from app.features.connection.oauth_client import redirect_uri
from app.features.provisioning.checklist import as_text, checklist, mark_step
from app.web.dependencies import Db, Manager, Res
from app.web.forms import read_form

router = APIRouter(prefix="/servicenow/checklist")


@router.get(".txt")
async def text(_viewer: Manager, resources: Res) -> Response:
    return PlainTextResponse(as_text(checklist(redirect_uri(resources))))


@router.post("/{step}")
async def mark(request: Request, viewer: Manager, session: Db, step: str) -> Response:
    form = await read_form(request)
    await mark_step(session, viewer, step, done=form.get("done") == "yes")
    return RedirectResponse(f"/servicenow/connect#{step}", 303)
