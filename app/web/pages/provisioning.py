"""The provisioning page: the connection, every step, and starting checks. Viewers read it, managers start checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from app.core.database import Session
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.provisioning.finding_catalog import needs_consent
from app.features.provisioning.list_steps import StepLine, list_steps
from app.features.provisioning.queue_checks import request_all_checks, request_check, request_checks_in_need
from app.web.dependencies import Db, Manager, Res, Viewer
from app.web.rate_limits import limited
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter(prefix="/ticketProvisioning")


@dataclass(frozen=True)
class ProvisioningPage:
    """The connection, if there is one, its steps, and what this person may do.

    `needs_consent` says that Authorize leads to ServiceNow; otherwise it starts over from the step that needs it.
    """

    connection: ConnectionView | None
    steps: Sequence[StepLine]
    may_manage: bool

    @property
    def needs_consent(self) -> bool:
        """Whether a person has to consent again."""
        if self.connection is None or not self.connection.is_connected:
            return True
        return any(step.finding and step.finding.is_problem and needs_consent(step.finding.key) for step in self.steps)

    @property
    def in_progress(self) -> bool:
        """Whether the page refreshes itself."""
        return any(step.in_progress for step in self.steps)


async def _page(session: Session, viewer: Viewer) -> ProvisioningPage:
    return ProvisioningPage(await connection_view(session), await list_steps(session), viewer.may_manage)


@router.get("", name="provisioning.page")
async def show(request: Request, viewer: Viewer, session: Db) -> Response:
    return render(request, "provisioning/page.html", await _page(session, viewer))


@router.get("/steps", name="provisioning.steps")
async def steps(request: Request, viewer: Viewer, session: Db) -> Response:
    """The steps alone: the page asks for them while checks are running."""
    return render(request, "provisioning/_steps.html", await _page(session, viewer))


@router.post("/authorize", name="provisioning.authorize", dependencies=[limited("check")])
async def start_over(viewer: Manager, resources: Res, session: Db) -> Response:
    """ "Authorize" where the consent is in order: start over from the first step that needs it."""
    if await connection_view(session) is None:
        return redirect_to("connect.form")
    await request_checks_in_need(session, resources.queue, viewer)
    return redirect_to("provisioning.page")


@router.post("/check", name="provisioning.check_all", dependencies=[limited("check")])
async def check_all(viewer: Manager, resources: Res, session: Db) -> Response:
    await request_all_checks(session, resources.queue, viewer)
    return redirect_to("provisioning.page")


@router.post("/check/{step}", name="provisioning.check_step", dependencies=[limited("check_step")])
async def check_again(viewer: Manager, resources: Res, session: Db, step: str) -> Response:
    await request_check(session, resources.queue, viewer, step)
    return redirect_to("provisioning.page", anchor=step)
