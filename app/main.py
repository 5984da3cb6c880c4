"""Put the web application together: middleware, pages, static files. Defines no page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from app.core.database_connection import GRACE_SECONDS
from app.features.tickets.polling.poll_status import RecordedViews
from app.resources import Resources
from app.settings import Settings
from app.web.error_pages import HANDLERS, refuse
from app.web.fragments import Fragments
from app.web.host_names import PublicHostMiddleware
from app.web.kept_pages import KeptPages
from app.web.middleware import SecurityMiddleware
from app.web.pages import (
    actions,
    audit,
    checklist,
    configuration,
    connect,
    connector_status,
    diagnosis,
    failed_jobs,
    field_values,
    health,
    home,
    kept_form,
    moved,
    provisioning,
    public_host,
    scrape,
    secure_score,
    servicenow,
    share,
    sign_in,
    tickets,
    your_sessions,
)
from app.web.rate_limits import LimitedWrites, RateLimits
from app.web.request_log import RequestLogMiddleware
from app.web.slow_clients import ImpatientProtocol
from app.web.unavailable import PatienceMiddleware

STATIC = Path(__file__).resolve().parents[1] / "static"
# Routes are tried one after another, a microsecond or two for each: what open pages ask for all day long comes first.
PAGES = (
    home,
    sign_in,
    secure_score,
    actions,
    share,
    tickets,
    servicenow,
    connect,
    checklist,
    configuration,
    provisioning,
    diagnosis,
    failed_jobs,
    field_values,
    connector_status,
    audit,
    your_sessions,
    kept_form,
    health,
    scrape,
    moved,
    public_host,
)


class KeptFiles(StaticFiles):
    """Static files with leave to cache them for ever: their addresses carry a hash of their content (`asset`)."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - the base's signature.
        # https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Cache-Control#immutable
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def create_app(resources: Resources) -> FastAPI:
    """The web application. It neither opens nor closes `resources`."""
    app = FastAPI(
        title="Security center",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        exception_handlers=HANDLERS,
        # Requests are logged, counted and traced by RequestLogMiddleware, under names without ids.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.resources = resources
    app.state.rate_limits = RateLimits()
    app.state.fragments = Fragments(seconds=resources.config.database_answer_seconds + GRACE_SECONDS)
    app.state.recorded_views = RecordedViews()
    # The last one added is the outermost: a redirect to PUBLIC_URL carries the security headers as well.
    app.add_middleware(PatienceMiddleware, seconds=resources.config.database_answer_seconds)
    app.add_middleware(PublicHostMiddleware, public_url=resources.config.public_url)
    app.add_middleware(
        SecurityMiddleware,
        public_url=resources.config.public_url,
        refuse=refuse,
    )
    app.add_middleware(RequestLogMiddleware)
    app.router.routes.insert(0, KeptPages())
    first, *others = PAGES
    app.include_router(first.router, dependencies=[Depends(LimitedWrites())])
    # Pages are not compressed (BREACH): a page holds what a person typed beside what no one else may read.
    # https://www.breachattack.com/
    app.mount("/static", GZipMiddleware(KeptFiles(directory=STATIC), minimum_size=1024, compresslevel=6), name="static")
    for page in others:
        app.include_router(page.router, dependencies=[Depends(LimitedWrites())])
    return app


def server_config(settings: Settings, application: FastAPI) -> uvicorn.Config:
    """Uvicorn's configuration. X-Forwarded-For is believed only from `trusted_proxies`, by default from no address."""
    # Without names, uvicorn would believe 127.0.0.1 and FORWARDED_ALLOW_IPS, so that part is switched off altogether.
    # https://www.uvicorn.org/settings/#http
    return uvicorn.Config(
        application,
        host=settings.host[0],
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=10,
        http=ImpatientProtocol,
        ws="none",
    )
