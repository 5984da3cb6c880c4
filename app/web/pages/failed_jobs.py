"""Failed jobs: what they were for, why they failed, and Retry. For managers only."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from app.core.bounds import whole
from app.features.operation.failed_job_list import list_failed_jobs, retry_failed_job, retry_failed_jobs
from app.web.dependencies import Db, Manager, Res
from app.web.rate_limits import limited
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter(prefix="/servicenow/failed-jobs")
# PostgreSQL's bigint.
LARGEST_NUMBER = 2**63 - 1


@router.get("", name="failed_jobs.page")
async def show(request: Request, _viewer: Manager, session: Db, resources: Res) -> Response:
    return render(request, "servicenow/failed_jobs.html", await list_failed_jobs(session, resources.queue))


@router.post("/{number}/retry", name="failed_jobs.retry", dependencies=[limited("retry")])
async def retry(viewer: Manager, session: Db, resources: Res, number: str) -> Response:
    await retry_failed_job(session, resources.queue, whole(number, 1, LARGEST_NUMBER) or 0, viewer=viewer)
    return redirect_to("failed_jobs.page")


@router.post("/retry-all", name="failed_jobs.retry_all", dependencies=[limited("retry")])
async def retry_all(viewer: Manager, session: Db, resources: Res) -> Response:
    await retry_failed_jobs(session, resources.queue, viewer=viewer)
    return redirect_to("failed_jobs.page")
