"""Marks of the installation checklist, and the checklist as text. The checklist itself is on the set-up page."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import PlainTextResponse, Response

from app.features.connection.oauth_client import redirect_uri
from app.features.provisioning.checklist import as_text, checklist, mark_step
from app.web.dependencies import Db, Manager, Res
from app.web.forms import read_form
from app.web.routing import PageRouter, redirect_to

router = PageRouter(prefix="/servicenow/checklist")


@router.get(".txt", name="checklist.text")
async def text(_viewer: Manager, resources: Res) -> Response:
    return PlainTextResponse(as_text(checklist(redirect_uri(resources))))


@router.post("/{step}", name="checklist.mark")
async def mark(request: Request, viewer: Manager, session: Db, step: str) -> Response:
    form = await read_form(request)
    await mark_step(session, viewer, step, done=form.get("done") == "yes")
    return redirect_to("connect.form", anchor=step)
