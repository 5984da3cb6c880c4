"""Puts the web process together: middleware, pages, static files. Holds no page of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from app.resources import Resources
from app.web.error_pages import HANDLERS, refuse
from app.web.middleware import Guard
from app.web.pages import (
    actions,
    audit,
    checklist,
    configuration,
    connecting,
    connector_status,
    diagnosis,
    health,
    home,
    provisioning,
    secure_score,
    servicenow,
    share,
    sign_in,
    tickets,
)

STATIC = Path(__file__).resolve().parents[1] / "static"
PAGES = (
    home,
    sign_in,
    secure_score,
    actions,
    share,
    tickets,
    servicenow,
    connecting,
    checklist,
    configuration,
    provisioning,
    diagnosis,
    connector_status,
    audit,
    health,
)


class KeptFiles(StaticFiles):
    """Static files may be kept for ever: their addresses carry a hash of their content (`asset` in the templates)."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - the base's signature.
        """The file, with leave to keep it."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def create_app(resources: Resources) -> FastAPI:
    """The web application, working with these resources; it neither opens nor closes them."""
    app = FastAPI(title="Security center", openapi_url=None, docs_url=None, redoc_url=None, exception_handlers=HANDLERS)
    app.state.resources = resources
    app.add_middleware(
        Guard,
        public_url=resources.config.public_url,
        form_targets=(
            resources.entra.authority,
            "https://*.service-now.com",
            *resources.config.servicenow_allowed_origins,
        ),
        refuse=refuse,
    )
    for page in PAGES:
        app.include_router(page.router)
    # Pages are not compressed: a page holds what a person typed beside what nobody else may read.
    app.mount("/static", GZipMiddleware(KeptFiles(directory=STATIC), minimum_size=1024, compresslevel=6), name="static")
    return app
