""" "Check the connection": a walk by the worker, its findings as they come, and a file for support."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from app.core import clock
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.provisioning.diagnosis import DiagnosisView, shown_run
from app.features.provisioning.jobs import start_diagnosis
from app.features.provisioning.support_bundle import support_bundle
from app.web.dependencies import Db, Manager, Res
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter(prefix="/servicenow/diagnosis")


@dataclass(frozen=True)
class DiagnosisPage:
    """The newest walk, if there was one."""

    walk: DiagnosisView | None
    connection: ConnectionView | None


@router.get("", name="diagnosis.page")
async def show(request: Request, _viewer: Manager, session: Db) -> Response:
    """What the newest walk found."""
    page = DiagnosisPage(await shown_run(session), await connection_view(session))
    return render(request, "provisioning/diagnosis.html", page)


@router.get("/findings", name="diagnosis.findings")
async def findings(request: Request, _viewer: Manager, session: Db) -> Response:
    """The findings alone, for the page to refresh."""
    page = DiagnosisPage(await shown_run(session), await connection_view(session))
    return render(request, "provisioning/_findings.html", page)


@router.post("", name="diagnosis.start")
async def start(viewer: Manager, resources: Res, session: Db) -> Response:
    """Walk."""
    await start_diagnosis(resources, session, viewer.display_name)
    await log_action(session, viewer, T("Connection checked"))
    return redirect_to("diagnosis.page")


@router.get("/bundle.zip", name="diagnosis.bundle")
async def bundle(viewer: Manager, resources: Res) -> Response:
    """The support bundle."""
    content = await support_bundle(resources)
    async with resources.database.transaction() as session:
        await log_action(session, viewer, T("Support bundle downloaded"))
    name = f"support-{clock.now():%Y-%m-%d-%H%M}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(content, media_type="application/zip", headers=headers)
