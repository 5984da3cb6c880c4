"""The one Jinja environment: undefined names are errors, everything is escaped, every text can be translated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from babel import Locale, dates, numbers
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from app.core import clock
from app.core.messages import catalog, current_locale
from app.features.tickets.ticket_fields import exchanged_items

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"


class SignedInPerson(Protocol):
    """What the frame shows of the signed-in person."""

    display_name: str
    email: str
    may_share: bool
    may_manage: bool
    may_view: bool


@dataclass(frozen=True)
class Frame:
    """What every page needs besides its own: who is looking, where, and the nonce for inline data."""

    viewer: SignedInPerson | None
    path: str
    nonce: str
    locale: str


@cache
def asset(path: str) -> str:
    """The address of a static file, with its content in the name, so that it may be kept for ever."""
    version = sha256((STATIC / path).read_bytes()).hexdigest()[:12]
    return f"/static/{path}?v={version}"


def format_number(value: float | None, digits: int = 2) -> str:
    """A number as people write it, without useless zeros."""
    if value is None:
        return "–"
    pattern = "#,##0" + ("." + "#" * digits if digits else "")
    return numbers.format_decimal(value, format=pattern, locale=current_locale())


@cache
def _percent_sign(locale: str) -> str:
    """English writes 49.1%; German 49,1 %, with a blank at which no line breaks."""
    return str(Locale.parse(locale).percent_formats[None].pattern).lstrip("#,0")


def format_percent(value: float | None, digits: int = 0) -> str:
    """A percentage of 0 to 100, as text."""
    if value is None:
        return "–"
    return f"{format_number(value, digits)}{_percent_sign(current_locale())}"


def format_date(value: date | None) -> str:
    """A day, spelled out."""
    return "–" if value is None else dates.format_date(value, "d MMM y", locale=current_locale())


def format_moment(value: datetime | None) -> Markup:
    """A moment in UTC, with its machine-readable form beside it."""
    if value is None:
        return Markup("–")
    shown = dates.format_datetime(value, "d MMM y, HH:mm", locale=current_locale())
    return Markup('<time datetime="{}">{} UTC</time>').format(value.isoformat(), shown)


def ago(value: datetime | None) -> Markup:
    """How long ago, roughly; the exact moment is in the title."""
    if value is None:
        return escape(catalog().gettext("never"))
    passed = clock.now() - value
    words = dates.format_timedelta(-passed, add_direction=True, locale=current_locale(), threshold=0.99)
    shown = f"{dates.format_datetime(value, 'd MMM y, HH:mm', locale=current_locale())} UTC"
    # js/ago.js counts on from these seconds, so that an open page stays true whatever the browser's clock says.
    return Markup('<time datetime="{}" title="{}" data-ago="{}">{}</time>').format(
        value.isoformat(timespec="seconds"), shown, int(passed.total_seconds()), words
    )


def path_quote(value: str) -> str:
    """A text as one part of an address; ids may hold dots, spaces and slashes."""
    return quote(value, safe="")


def to_data(value: object) -> Markup:
    """JSON for a script element of type application/json; `<` is written so that it cannot end the element."""
    return Markup(json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        gettext=lambda message: catalog().gettext(message),
        ngettext=lambda one, many, count: catalog().ngettext(one, many, count),
        newstyle=True,
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.globals["asset"] = asset
    environment.globals["exchanged_items"] = exchanged_items
    environment.filters.update(
        number=format_number,
        percent=format_percent,
        date=format_date,
        moment=format_moment,
        ago=ago,
        path_quote=path_quote,
        data=to_data,
    )
    return environment


environment = _environment()


def render_text(request: Request, template: str, page: object) -> str:
    """A template as text; `page` and `frame` are all it may use."""
    state = request.state
    frame = Frame(
        viewer=getattr(state, "viewer", None),
        path=request.url.path,
        nonce=getattr(state, "csp_nonce", ""),
        locale=current_locale(),
    )
    return environment.get_template(template).render(page=page, frame=frame)


def render(
    request: Request,
    template: str,
    page: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """A whole page or a fragment."""
    return HTMLResponse(render_text(request, template, page), status, dict(headers or {}))
