"""After a sign-in: the page of a form that was sent too late, filled with what was typed, for the person to send."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request
from fastapi.responses import Response

from app.features.accounts.unsent_forms import find_form
from app.web.cookies import UNSENT_FORM, read_token
from app.web.dependencies import Res, Viewer
from app.web.routing import PageRouter
from app.web.unsent_pages import show_filled

router = PageRouter()


@router.get("/unsent/{form_id}", name="kept_form.page")
async def show(request: Request, viewer: Viewer, resources: Res, form_id: UUID) -> Response:
    token = read_token(request.cookies, resources.config.public_url, UNSENT_FORM)
    # Committed before the page is made, which opens its own transaction.
    async with resources.database.transaction() as session:
        form = await find_form(session, resources.vault, viewer, form_id, token)
    return await show_filled(request, form)
