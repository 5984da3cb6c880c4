"""Secure Score: overview, history and imports."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from app.features.secure_score.jobs import ask_to_sync
from app.features.secure_score.runs import RunLine, list_runs
from app.features.secure_score.score_summary import ScoreCard, score_card
from app.foundation.errors import Conflict
from app.foundation.text import Text
from app.web.dependencies import Db, Manager, Res, Viewer
from app.web.templating import render

router = APIRouter(prefix="/secure-score")


@dataclass(frozen=True)
class OverviewPage:
    """`card` is None while nothing has been imported."""

    card: ScoreCard | None
    may_sync: bool


@dataclass(frozen=True)
class ImportsPage:
    """`problem` is why an import could not be asked for; `from_files` that Graph is not asked at all."""

    runs: list[RunLine]
    from_files: bool
    problem: Text | None

    @property
    def under_way(self) -> bool:
        """Whether the page has something to wait for."""
        return any(run.under_way for run in self.runs)


@router.get("")
async def overview(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """The score, and how it came about."""
    config = resources.config
    card = await score_card(session, config.shown_tenant_id)
    may_sync = viewer.may_manage and config.shown_tenant_id == config.tenant_id
    return render(request, "secure_score/overview.html", OverviewPage(card, may_sync))


@router.post("/sync")
async def sync(request: Request, manager: Manager, session: Db, resources: Res) -> Response:
    """Ask for an import now."""
    try:
        await ask_to_sync(session, resources, asked_by=manager.display_name)
    except Conflict as error:
        page = await _imports_page(session, resources, error.message)
        return render(request, "secure_score/imports.html", page, status=error.status)
    return RedirectResponse("/secure-score/imports", 303)


@router.get("/imports")
async def imports(request: Request, _manager: Manager, session: Db, resources: Res) -> Response:
    """What was imported, when, and what was odd. Asked for by htmx, only the part that changes."""
    page = await _imports_page(session, resources, None)
    template = "secure_score/_runs.html" if request.headers.get("hx-request") else "secure_score/imports.html"
    return render(request, template, page)


async def _imports_page(session: Db, resources: Res, problem: Text | None) -> ImportsPage:
    config = resources.config
    from_files = config.shown_tenant_id != config.tenant_id
    return ImportsPage(await list_runs(session, config.shown_tenant_id), from_files, problem)
