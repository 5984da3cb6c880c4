""" "Check the connection": starts a diagnosis, shows its findings as they come, and hands out the support bundle."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from app.core import clock
from app.core.messages import Message
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.provisioning.diagnosis import DiagnosisView, shown_run, start_diagnosis
from app.features.provisioning.finding_catalog import title_of
from app.features.provisioning.support_bundle import support_bundle
from app.web.dependencies import Db, Manager, Res
from app.web.rate_limits import limited
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter(prefix="/servicenow/diagnosis")


@dataclass(frozen=True)
class DiagnosisPage:
    """The newest run, if there was one."""

    run: DiagnosisView | None
    connection: ConnectionView | None

    def title_of(self, key: str) -> Message:
        """The heading of findings with this key."""
        return title_of(key)


@router.get("", name="diagnosis.page")
async def show(request: Request, _viewer: Manager, session: Db) -> Response:
    page = DiagnosisPage(await shown_run(session), await connection_view(session))
    return render(request, "provisioning/diagnosis.html", page)


@router.get("/findings", name="diagnosis.findings")
async def findings(request: Request, _viewer: Manager, session: Db) -> Response:
    """The findings alone: the page asks for them while the worker runs the diagnosis."""
    page = DiagnosisPage(await shown_run(session), await connection_view(session))
    return render(request, "provisioning/_findings.html", page)


@router.post("", name="diagnosis.start", dependencies=[limited("check")])
async def start(viewer: Manager, resources: Res, session: Db) -> Response:
    await start_diagnosis(session, resources.queue, viewer)
    return redirect_to("diagnosis.page")


@router.get("/bundle.zip", name="diagnosis.bundle", dependencies=[limited("export")])
async def bundle(viewer: Manager, resources: Res) -> Response:
    content = await support_bundle(resources, viewer)
    name = f"support-{clock.now():%Y-%m-%d-%H%M}.zip"
    # It names hosts, users and versions: no cache may keep it.
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(content, media_type="application/zip", headers=headers)
