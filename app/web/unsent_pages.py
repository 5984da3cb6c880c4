"""Which page shows a form again that was not sent: after its session had ended, or for being one of too many.

Keeps a form of the first kind, and shows both filled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlencode
from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message as Sent
from starlette.types import Scope

from app.core.errors import AppError
from app.core.messages import Message, T
from app.core.random_tokens import new_token
from app.features.accounts.sessions import owner_of
from app.features.accounts.unsent_forms import PostedForm, keep_form, without_secrets
from app.web.cookies import UNSENT_FORM, read_token, set_cookie
from app.web.dependencies import ASKED_WITHIN, asked_within, path_asked, resources_of, session_token
from app.web.form_filling import fill_form
from app.web.forms import LONGEST_FIELD, posted_fields
from app.web.middleware import LONGEST_ADDRESS
from app.web.routing import redirect_to_path, url_for

# What a bulk share of 1,000 actions sends: two fields for each, and some others.
MOST_FIELDS = 2_200
COOKIE_SECONDS = 3600
ENDED = T("Your session had ended, so nothing was saved.")
# What routing has put into a request, and puts in again for the page that is asked inside it.
OF_THIS_ROUTE = ("route", "endpoint", "path_params", "fastapi_inner_astack", "fastapi_function_astack")


@dataclass(frozen=True)
class FormPage:
    """Where the form is shown: an address by GET; or, for a form that is itself shown by a POST, with these fields."""

    address: str
    posted: list[tuple[str, str]] = field(default_factory=list)


def _at(page: str, **kept: str) -> Callable[[PostedForm], FormPage]:
    """A page with the path values of the form's own route, and those of its query named in `kept` (value: its name there)."""

    def build(form: PostedForm) -> FormPage:
        query = dict(form.query)
        return FormPage(
            url_for(page, **form.path_values, **{name: query.get(there, "") for name, there in kept.items()})
        )

    return build


def _share(form: PostedForm) -> FormPage:
    actions = [value for name, value in form.query if name == "action"] + form.all_of("action")
    query = [("action", action) for action in actions] + [("as", "one"), ("kind", form.one_of("kind"))]
    return FormPage(f"{url_for('share.form')}?{urlencode(query)}")


def _bulk(form: PostedForm) -> FormPage:
    # By the POST that shows this form: its actions may be too many for an address.
    posted = [("action", action) for action in form.all_of("shown")]
    return FormPage(url_for("share.selection"), [*posted, ("as", "each"), ("kind", form.one_of("kind"))])


def _field_values(form: PostedForm) -> FormPage:
    # The lines of this form are what was typed; it is shown by its own POST, which saves for "save" alone.
    posted = [(name, "show" if (name, value) == ("do", "save") else value) for name, value in form.fields]
    return FormPage(form.address, posted)


def _as_it_was(form: PostedForm) -> FormPage:
    # Ticks in a list, which say what the form asked for is about: the press itself only shows that form.
    return FormPage(form.address, form.fields)


# By the route that is sent to. Every other POST carries nothing typed (tests/web/test_unsent_pages.py).
FORM_PAGES: dict[str, Callable[[PostedForm], FormPage]] = {
    "share.selection": _as_it_was,
    "share.send": _share,
    "share.send_bulk": _bulk,
    "tickets.add_note": _at("tickets.detail"),
    "tickets.save": _at("tickets.edit"),
    "actions.set_status": _at("actions.detail", control_id="action"),
    "actions.add_note": _at("actions.detail", control_id="action"),
    "actions.set_tags": _at("actions.detail", control_id="action"),
    "secure_score.set_zones": _at("secure_score.trends"),
    "connect.begin": _at("connect.form"),
    "connector_status.make_token": _at("connector_status.tokens"),
    "configuration.name_states": lambda _: FormPage(url_for("configuration.page")),
    "configuration.set_columns": lambda _: FormPage(url_for("configuration.page")),
    "configuration.set_defaults": _at("configuration.page"),
    "configuration.name_sender": _at("configuration.page"),
    "field_values.save": _field_values,
    "field_values.save_type": lambda _: FormPage(url_for("field_values.page", kind="change")),
}


@dataclass(frozen=True)
class KeptForm:
    """What was kept, and the token of the cookie that finds it."""

    form_id: UUID
    browser_token: str

    def remember(self, response: Response, request: Request) -> None:
        """Bind it to this browser."""
        public_url = resources_of(request).config.public_url
        set_cookie(response, public_url, UNSENT_FORM, self.browser_token, max_age=COOKIE_SECONDS)


async def keep_unsent(request: Request) -> KeptForm | None:
    """Keep the form of this request, which came without a session; None when there is nothing to keep."""
    resources, form = resources_of(request), await _form_of(request)
    if form is None:
        return None
    token = read_token(request.cookies, resources.config.public_url, UNSENT_FORM) or new_token()
    async with resources.database.transaction() as session:
        owner = await owner_of(session, session_token(request))
        form_id = await keep_form(session, resources.vault, form, browser_token=token, owner=owner)
    return KeptForm(form_id, token) if form_id else None


async def _form_of(request: Request) -> PostedForm | None:
    name = getattr(request.scope.get("route"), "name", "")
    if request.method != "POST" or name not in FORM_PAGES:
        return None
    try:
        typed = await posted_fields(request, most_fields=MOST_FIELDS)
        typed.single()  # Bounded as where it is shown again after a mistake.
    except (HTTPException, AppError, ClientDisconnect):
        return None  # No form of ours: the answer is the same as for an empty one.
    if any(len(value) >= LONGEST_FIELD for _, value in typed.pairs):
        return None  # It was cut, and the browser still holds the whole.
    path_values = {key: str(value) for key, value in request.path_params.items()}
    return PostedForm(name, path_asked(request), path_values, request.query_params.multi_items(), list(typed.pairs))


async def show_filled(request: Request, form: PostedForm) -> Response:
    """The form's page as this person may see it, with what was typed. What the page raises is raised here."""
    page = FORM_PAGES[form.route](form)
    status, headers, body = await _ask_own_page(request, page, ENDED)
    if status == 429:
        return _as_answered(status, headers, body)  # It stays kept, and is shown when there are fewer.
    if not _is_page(status, headers):
        # The page is another one by now, such as after the connection was removed; it says so itself.
        return redirect_to_path(url_for("home.page") if _has_no_address(page) else page.address)
    return await _filled(body, form)


async def show_again(request: Request, why: Message, status: int) -> Response | None:
    """The page of a form that is refused although its person is signed in, filled; None where there is no such page."""
    # htmx leaves a page as it is when a part of it is refused (templates/base.html), with what was typed.
    if request.state.viewer is None or "hx-request" in request.headers or asked_within(request):
        return None
    form = await _form_of(request)
    if form is None:
        return None
    shown, headers, body = await _ask_own_page(request, FORM_PAGES[form.route](form), why)
    if not _is_page(shown, headers):
        request.state.unsent = None
        return None
    return await _filled(body, form, status)


def _has_no_address(page: FormPage) -> bool:
    return bool(page.posted) or len(page.address) > LONGEST_ADDRESS


def _is_page(status: int, headers: dict[bytes, bytes]) -> bool:
    return status == 200 and headers.get(b"content-type", b"").startswith(b"text/html")


def _as_answered(status: int, headers: dict[bytes, bytes], body: bytes) -> Response:
    kept = {"Retry-After": headers[b"retry-after"].decode()} if b"retry-after" in headers else None
    return HTMLResponse(body, status, kept)


async def _filled(body: bytes, form: PostedForm, status: int = 200) -> Response:
    # Beside the event loop: a page of 1,000 actions takes a second to read.
    fields = without_secrets(form.fields)
    return HTMLResponse(await asyncio.to_thread(fill_form, body.decode(), form.address, fields), status)


async def _ask_own_page(request: Request, page: FormPage, why: Message) -> tuple[int, dict[bytes, bytes], bytes]:
    """Run the route of this page inside this request: with its own access check, and this response's headers."""
    path, _, query = page.address.partition("?")
    body = urlencode(page.posted).encode()
    # As if the browser had asked: the cookies are its own, the length and kind of the body are ours.
    kept = [(name, value) for name, value in request.scope["headers"] if name in (b"cookie", b"host", b"user-agent")]
    posted = [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", str(len(body)).encode())]
    scope: Scope = {
        **{name: value for name, value in request.scope.items() if name not in OF_THIS_ROUTE},
        ASKED_WITHIN: True,
        "method": "POST" if page.posted else "GET",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": kept + (posted if page.posted else []),
    }
    request.state.unsent = why  # The frame says what this page is.
    sent: list[Sent] = []

    async def receive() -> Sent:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Sent) -> None:
        sent.append(message)

    await request.app.router(scope, receive, send)
    start = next(message for message in sent if message["type"] == "http.response.start")
    content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return start["status"], dict(start["headers"]), content
