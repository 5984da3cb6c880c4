"""Provisioning: what stands between connected and working. Everybody who may look sees it; managers act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from app.core.database import Session
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.provisioning.jobs import start_check, start_checks
from app.features.provisioning.run_steps import StepLine, first_in_need, list_steps
from app.web.dependencies import Db, Manager, Res, Viewer
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter(prefix="/ticketProvisioning")
# Findings that only a new consent mends; everything else is mended elsewhere and then checked again.
NEED_CONSENT = frozenset({"authorize", "consent_expired", "consent_refused", "token_refused", "user_missing"})


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
        """Whether anything here waits for somebody to consent again."""
        if self.connection is None or not self.connection.is_connected:
            return True
        return any(step.finding and step.finding.is_problem and step.finding.key in NEED_CONSENT for step in self.steps)

    @property
    def in_progress(self) -> bool:
        """Whether something will change by itself soon."""
        return any(step.in_progress for step in self.steps)


async def _page(session: Session, viewer: Viewer) -> ProvisioningPage:
    return ProvisioningPage(await connection_view(session), await list_steps(session), viewer.may_manage)


@router.get("", name="provisioning.page")
async def show(request: Request, viewer: Viewer, session: Db) -> Response:
    """The connection's state and every step."""
    return render(request, "provisioning/page.html", await _page(session, viewer))


@router.get("/steps", name="provisioning.steps")
async def steps(request: Request, viewer: Viewer, session: Db) -> Response:
    """The steps alone, for the page to refresh."""
    return render(request, "provisioning/_steps.html", await _page(session, viewer))


@router.post("/authorize", name="provisioning.authorize")
async def start_over(viewer: Manager, resources: Res, session: Db) -> Response:
    """Start over from the step that needs it."""
    connection = await connection_view(session)
    if connection is None:
        return redirect_to("connect.form")
    if connection.is_confirmed:
        await start_checks(resources, session, connection.id, await first_in_need(session))
        await log_action(session, viewer, T("Provisioning started over"), instance=connection.instance_name)
    return redirect_to("provisioning.page")


@router.post("/check", name="provisioning.check_all")
async def check_all(viewer: Manager, resources: Res, session: Db) -> Response:
    """Check every step again."""
    connection = await connection_view(session)
    if connection is not None and connection.is_confirmed:
        await start_checks(resources, session, connection.id)
        await log_action(session, viewer, T("Provisioning started over"), instance=connection.instance_name)
    return redirect_to("provisioning.page")


@router.post("/check/{step}", name="provisioning.check_step")
async def check_again(viewer: Manager, resources: Res, session: Db, step: str) -> Response:
    """Check one step again."""
    connection = await connection_view(session)
    if connection is not None and connection.is_confirmed:
        await start_check(resources, session, connection.id, step)
        await log_action(session, viewer, T("Step checked again"), instance=connection.instance_name, step=step)
    return redirect_to("provisioning.page", anchor=step)
