"""Render the sandbox's own web pages. Only form field and button names follow the originals; the design does not."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
    """Return a rendered template; `path`, the request's path, is always in scope."""
    return HTMLResponse(_environment.get_template(template).render(path=request.url.path, **values), status)
