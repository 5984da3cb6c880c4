"""Turns errors into pages, or into fragments for htmx. Never shows a stack trace or an error's own text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from app.core.database import UnusableValue
from app.core.errors import AppError, NotAllowed, NotFound
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.accounts.note_refusal import find_person
from app.web.dependencies import (
    NoRole,
    SignInNeeded,
    address_of,
    find_signed_in,
    get_resources,
    session_cookie_name,
)
from app.web.note_refused import note_refused
from app.web.routing import redirect_to_path
from app.web.templating import render

log = get_logger(__name__)


@dataclass(frozen=True)
class ErrorPage:
    """`correlation_id` finds the request in the logs; it is also in the response's header X-Correlation-ID."""

    title: Message
    message: Message
    advice: Message
    correlation_id: str
    status: int


def _show(request: Request, title: Message, message: Message, advice: Message, status: int) -> Response:
    page = ErrorPage(title, message, advice, request.state.correlation_id, status)
    template = "errors/fragment.html" if request.headers.get("hx-request") else "errors/page.html"
    return render(request, template, page, status=status)


TITLES = {
    403: T("You cannot do this"),
    404: T("Not found"),
    409: T("Something needs attention"),
    502: T("Another system did not answer as it should"),
}


async def app_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, AppError):  # Starlette calls this for the registered class only.
        raise error
    if isinstance(error, NotAllowed):
        await note_refused(request, "no_role" if isinstance(error, NoRole) else "role", error.code or str(error))
    if isinstance(error, NoRole):
        return render(request, "sign_in/no_role.html", None, status=403)
    title = TITLES.get(error.status, T("This did not work"))
    return _show(request, title, error.message, T("Go back, or open the home page."), error.status)


async def sign_in_needed(request: Request, error: Exception) -> Response:
    """Redirect to sign-in. For a fragment, htmx makes the whole page go there: https://htmx.org/reference/#response_headers."""
    if not isinstance(error, SignInNeeded):  # Starlette calls this for the registered class only.
        raise error
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"HX-Redirect": error.address})
    return redirect_to_path(error.address)


async def http_error(request: Request, error: Exception) -> Response:
    """Unknown addresses and methods, which Starlette refuses before any handler runs."""
    if not isinstance(error, HTTPException):  # Starlette calls this for the registered class only.
        raise error
    if request.state.viewer is None:
        await find_signed_in(
            request, get_resources(request)
        )  # No dependency ran; the frame needs it for the navigation.
    if error.status_code == 404:
        return _show(request, TITLES[404], NotFound.default, T("Check the address, or open the home page."), 404)
    advice = T("Go back and try again.")
    return _show(request, T("This did not work"), T("This address cannot be used that way."), advice, error.status_code)


async def invalid_request(request: Request, _error: Exception) -> Response:
    """A path or query value of a wrong type, such as a ticket id that is no UUID: the page does not exist."""
    return _show(request, TITLES[404], NotFound.default, T("Check the address, or open the home page."), 404)


async def unstorable(request: Request, error: Exception) -> Response:
    """A value that PostgreSQL refuses: U+0000 is the person's input; anything else is a bug."""
    # psycopg says "NUL", PostgreSQL's jsonb "\\u0000": https://www.postgresql.org/docs/current/datatype-json.html
    if "NUL" not in str(error) and "\\u0000" not in str(error):
        return await unexpected(request, error)
    return _show(request, T("This was not accepted"), UNUSABLE, T("Go back and type it anew."), 422)


async def unexpected(request: Request, error: Exception) -> Response:
    # Improper error handling (CWE-209): the page names the correlation ID only; details stay in the log.
    # https://cheatsheetseries.owasp.org/cheatsheets/Error_Handling_Cheat_Sheet.html
    log.error("http.request.failed", path=request.url.path, exc_info=error)
    return _show(
        request,
        T("Sorry, something broke"),
        T("This is our mistake, not yours. What you had already sent and seen confirmed is safe."),
        T("Try again. If it happens again, tell your administrator the number below."),
        500,
    )


async def refuse(scope: Scope, receive: Receive, send: Send, status: int) -> None:
    """The page for a request that the security middleware refuses, and a note of it.

    413 too large, 400 from a page opened under another address, 403 from another site (CSRF), 500 while an exception of the
    application is handled.
    """
    request = Request(scope, receive)
    unexpected_error = sys.exception()
    if status == 500 and isinstance(unexpected_error, Exception):
        await (await unexpected(request, unexpected_error))(scope, receive, send)
        return
    await _note(request, status)
    if status == 413:
        message, advice = T("What was sent is too large."), T("Shorten it and try again.")
    elif status == 400:
        address = get_resources(request).config.public_url
        message = T("This page is open under another address than its own, so nothing was done.")
        advice = T(
            "Open %(address)s and do it there. To keep what you typed, go back and copy it first.", address=address
        )
    else:
        message = T("This was sent from another site, so it was not done.")
        advice = T("Open the page here and try again.")
    await _show(request, T("This was not accepted"), message, advice, status)(scope, receive, send)


async def _note(request: Request, status: int) -> None:
    headers, resources = request.headers, get_resources(request)
    # No dependency has asked yet who it is. Looked up only for a browser that has a cookie.
    token = request.cookies.get(session_cookie_name(resources))
    request.state.viewer = await find_person(resources, token, address_of(request))
    if status == 413:
        await note_refused(request, "too_large", f"declares {headers.get('content-length', 'no length')}")
    elif status == 400:
        await note_refused(request, "other_address", "opened under another address", origin=headers.get("origin", ""))
    else:
        site = headers.get("sec-fetch-site", "not told")
        await note_refused(request, "cross_site", f"Sec-Fetch-Site {site}", origin=headers.get("origin", ""))


UNUSABLE = T("This holds characters that cannot be used.")
HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    AppError: app_error,
    SignInNeeded: sign_in_needed,
    HTTPException: http_error,
    RequestValidationError: invalid_request,
    UnusableValue: unstorable,
    Exception: unexpected,
}
