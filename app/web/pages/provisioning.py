"""Provisioning: what stands between connected and working. Everybody who may look sees it; managers act."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.features.connection.connection_view import ConnectionView, connection_view
from app.web.dependencies import Db, Viewer
from app.web.templating import render

router = APIRouter(prefix="/ticketProvisioning")


@dataclass(frozen=True)
class ProvisioningPage:
    """The connection, if there is one, and whether this person may authorize."""

    connection: ConnectionView | None
    may_manage: bool


@router.get("")
async def show(request: Request, viewer: Viewer, session: Db) -> Response:
    """The connection's state."""
    page = ProvisioningPage(await connection_view(session), viewer.may_manage)
    return render(request, "provisioning/page.html", page)
