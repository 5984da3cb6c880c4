"""The one Jinja environment, and how numbers, dates and moments are written. Knows no page."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import localcontext
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from babel import Locale, dates, numbers
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from app.core import clock
from app.core.messages import Message, catalog, current_locale
from app.core.rounding import MOST_DIGITS, round_half_up
from app.features.accounts.permissions import Viewer
from app.features.tickets.ticket_fields import exchanged_items
from app.web.routing import url_for

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"
LARGEST_FLOAT = sys.float_info.max


@dataclass(frozen=True)
class Frame:
    """What the page frame needs: the viewer, the path and the locale (a language code).

    `unsent`: why what the page's form holds was not sent; None for a page that nothing was typed into yet.
    """

    viewer: Viewer | None
    path: str
    locale: str
    unsent: Message | None = None


@cache
def asset(path: str) -> str:
    """The URL of a static file, with a hash of its content."""
    # Cache busting: a new version has a new URL, so that browsers may cache each one for a year.
    # https://developer.mozilla.org/docs/Web/HTTP/Guides/Caching#cache_busting
    version = sha256((STATIC / path).read_bytes()).hexdigest()[:12]
    return f"/static/{path}?v={version}"


def format_number(value: float | None, digits: int = 2) -> str:
    """A number in the viewer's locale, rounded half up to at most `digits` decimals, no trailing zeros.

    "–" for None, and for what no page can write, such as infinity.
    """
    if value is None or not -LARGEST_FLOAT <= value <= LARGEST_FLOAT:
        return "–"
    return _decimal(value, digits, current_locale())


@lru_cache(maxsize=4096)
def _decimal(value: float, digits: int, locale: str) -> str:
    # A list writes the same few numbers again and again, and each takes as long as a row of the table.
    pattern = "#,##0" + ("." + "#" * digits if digits else "")
    # Babel quantizes once more, in the current context, whose 28 digits are too few for a huge float.
    with localcontext(prec=MOST_DIGITS):
        return numbers.format_decimal(round_half_up(value, digits), format=pattern, locale=locale)


@cache
def _percent_sign(locale: str) -> str:
    # English writes 49.1%; German 49,1 %, with a no-break space: https://cldr.unicode.org, number patterns.
    return str(Locale.parse(locale).percent_formats[None].pattern).lstrip("#,0")


def format_percent(value: float | None, digits: int = 0) -> str:
    """A percentage (0 to 100, not 0 to 1) as text; "–" for None."""
    if value is None:
        return "–"
    return f"{format_number(value, digits)}{_percent_sign(current_locale())}"


def format_date(value: date | None) -> str:
    """A day as "5 Nov 2026"; "–" for None."""
    return "–" if value is None else dates.format_date(value, "d MMM y", locale=current_locale())


def day_label(label: str) -> str:
    """A plot's label as text: an ISO day as "5 Nov 2026", anything else as it is."""
    try:
        return format_date(date.fromisoformat(label))
    except ValueError:
        return label


def format_moment(value: datetime | None) -> Markup:
    """A moment in UTC as a <time> element; "–" for None."""
    if value is None:
        return Markup("–")
    shown = dates.format_datetime(value, "d MMM y, HH:mm", locale=current_locale())
    return Markup('<time datetime="{}">{} UTC</time>').format(value.isoformat(), shown)


def ago(value: datetime | None) -> Markup:
    """How long ago, in one unit, as a <time> element with the exact moment as its title; "never" for None."""
    if value is None:
        return escape(catalog().gettext("never"))
    passed = clock.now() - value
    words = dates.format_timedelta(-passed, add_direction=True, locale=current_locale(), threshold=0.99)
    shown = f"{dates.format_datetime(value, 'd MMM y, HH:mm', locale=current_locale())} UTC"
    # js/ago.js counts on from these seconds and never asks the browser's clock, which may be wrong.
    return Markup('<time datetime="{}" title="{}" data-ago="{}">{}</time>').format(
        value.isoformat(timespec="seconds"), shown, int(passed.total_seconds()), words
    )


def since(value: datetime | None) -> Markup:
    """The same for a fragment that is kept: the exact moment, from which js/ago.js counts by the page's `data-now`."""
    if value is None:
        return escape(catalog().gettext("never"))
    shown = dates.format_datetime(value, "d MMM y, HH:mm", locale=current_locale())
    return Markup('<time datetime="{}" data-since>{} UTC</time>').format(value.isoformat(timespec="seconds"), shown)


def path_quote(value: str) -> str:
    """A text as one value of an external URL's query; links of our own come from `url_for`."""
    return quote(value, safe="")


def to_data(value: object) -> Markup:
    """JSON for a script element of type application/json."""
    # XSS: "</script>" inside a text would end the element, so <, > and & are written as JSON escapes.
    # https://cheatsheetseries.owasp.org/cheatsheets/Cross_Site_Scripting_Prevention_Cheat_Sheet.html
    return Markup(json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        autoescape=True,  # XSS: every value is escaped unless it is Markup.
        undefined=StrictUndefined,  # A mistyped name is an error, not an empty text.
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
    environment.globals.update(asset=asset, url_for=url_for, exchanged_items=exchanged_items)
    environment.filters.update(
        number=format_number,
        percent=format_percent,
        date=format_date,
        day_label=day_label,
        moment=format_moment,
        ago=ago,
        since=since,
        path_quote=path_quote,
        data=to_data,
    )
    return environment


environment = _environment()


def render_text(request: Request, template: str, page: object) -> str:
    """Render to text. A template sees `page`, `frame` and the globals only (tests/conventions/test_templates.py)."""
    state = request.state
    frame = Frame(
        viewer=getattr(state, "viewer", None),
        path=request.scope["path"],
        locale=current_locale(),
        unsent=getattr(state, "unsent", None),
    )
    return render_with(frame, template, page)


def render_with(frame: Frame, template: str, page: object) -> str:
    """Render to text without a request. A fragment that is kept for many is given a frame without a person."""
    return environment.get_template(template).render(page=page, frame=frame)


def render(
    request: Request,
    template: str,
    page: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Render a page or a fragment as a response."""
    return HTMLResponse(render_text(request, template, page), status, dict(headers or {}))
