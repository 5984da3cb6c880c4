"""Turns errors into pages, or into fragments for htmx. Never shows a stack trace or an error's own text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.core.database import UnusableValue
from app.core.database_trouble import DATABASE_ERRORS, DatabaseTrouble, trouble_of
from app.core.errors import AppError, NotAllowed, NotFound
from app.core.log_filters import mark_as_logged
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.core.schema_guard import schema_problem
from app.features.accounts.note_refusal import find_person
from app.web.dependencies import (
    KEPT,
    NoRole,
    SignInNeeded,
    address_of,
    find_signed_in,
    resources_of,
    session_token,
)
from app.web.note_refused import note_refused
from app.web.rate_limits import TooManyRequests
from app.web.routing import redirect_to_path, url_for
from app.web.templating import render
from app.web.unavailable import unavailable
from app.web.unsent_pages import keep_unsent, show_again

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
    429: T("Too many at once"),
    502: T("Another system did not answer as it should"),
}


USUAL_ADVICE = T("Go back, or open the home page.")
ADVICE = {429: T("Go back then: the browser still holds what you typed.")}


async def app_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, AppError):  # Starlette calls this for the registered class only.
        raise error
    if isinstance(error, NotAllowed):
        await note_refused(request, "no_role" if isinstance(error, NoRole) else "role", error.code or str(error))
    if isinstance(error, NoRole):
        return render(request, "sign_in/no_role.html", None, status=403)
    limited = isinstance(error, TooManyRequests)
    if isinstance(error, TooManyRequests) and error.limit:
        await note_refused(request, "rate_limit", error.limit)
    answer = await show_again(request, error.message, error.status) if limited else None
    if answer is None:
        title = TITLES.get(error.status, T("This did not work"))
        answer = _show(request, title, error.message, ADVICE.get(error.status, USUAL_ADVICE), error.status)
    if isinstance(error, TooManyRequests):
        answer.headers.update(error.headers)
    return answer


async def sign_in_needed(request: Request, error: Exception) -> Response:
    """Redirect to sign-in. For a fragment, htmx makes the whole page go there: https://htmx.org/reference/#response_headers.

    A posted form is kept, and its page is the one to come back to.
    """
    if not isinstance(error, SignInNeeded):  # Starlette calls this for the registered class only.
        raise error
    address, kept = error.address, await keep_unsent(request)
    if kept is not None:
        page = url_for("kept_form.page", form_id=kept.form_id)
        address = url_for("sign_in.page", return_to=page, unsent=KEPT)
    if request.headers.get("hx-request"):
        response = Response(status_code=401, headers={"HX-Redirect": address})
    else:
        response = redirect_to_path(address)
    if kept is not None:
        kept.remember(response, request)
    return response


async def http_error(request: Request, error: Exception) -> Response:
    """Unknown addresses and methods, which Starlette refuses before any handler runs."""
    if not isinstance(error, HTTPException):  # Starlette calls this for the registered class only.
        raise error
    # Where no dependency has asked; the frame needs it for the navigation, and does without it while the database is away.
    with suppress(*DATABASE_ERRORS):
        await find_signed_in(request)
    if error.status_code == 404:
        return _show(request, TITLES[404], NotFound.default, T("Check the address, or open the home page."), 404)
    advice = T("Go back and try again.")
    said = T("This address cannot be used that way.")
    answer = _show(request, T("This did not work"), said, advice, error.status_code)
    # Which methods the address has (Allow) belongs to every 405: RFC 9110 15.5.6.
    answer.headers.update(error.headers or {})
    return answer


async def invalid_request(request: Request, _error: Exception) -> Response:
    """A path or query value of a wrong type, such as a ticket id that is no UUID: the page does not exist."""
    return _show(request, TITLES[404], NotFound.default, T("Check the address, or open the home page."), 404)


async def unstorable(request: Request, error: Exception) -> Response:
    """A value that PostgreSQL refuses: U+0000 is the person's input; anything else is a bug."""
    # psycopg says "NUL", PostgreSQL's jsonb "\\u0000": https://www.postgresql.org/docs/current/datatype-json.html
    if "NUL" not in str(error) and "\\u0000" not in str(error):
        return await unexpected(request, error)
    return _show(request, T("This was not accepted"), UNUSABLE, T("Go back and type it anew."), 422)


async def database_error(request: Request, error: Exception) -> Response:
    """503 where the database is to blame, and 500 for a statement of ours that is wrong."""
    trouble = trouble_of(error)
    if trouble is DatabaseTrouble.SCHEMA:
        # A table or column that is missing: of this version's tables, that is our mistake.
        resources = resources_of(request)
        with suppress(*DATABASE_ERRORS):
            if await schema_problem(resources.database, resources.expected_revision) is None:
                trouble = None
    return await (unexpected(request, error) if trouble is None else unavailable(request, error, trouble))


async def gone(_request: Request, _error: Exception) -> Response:
    """The browser hung up, or was put out, before its form had arrived: nothing was done, and there is none to tell."""
    return Response(status_code=400)


async def unexpected(request: Request, error: Exception) -> Response:
    # Improper error handling (CWE-209): the page names the correlation ID only; details stay in the log.
    # https://cheatsheetseries.owasp.org/cheatsheets/Error_Handling_Cheat_Sheet.html
    log.error("http.request.failed", path=request.scope["path"], exc_info=error)
    mark_as_logged(error)
    return _show(
        request,
        T("Sorry, something broke"),
        T("This is our mistake, not yours. What you had already sent and seen confirmed is safe."),
        T("Try again. If it happens again, tell your administrator the number below."),
        500,
    )


async def refuse(scope: Scope, receive: Receive, send: Send, status: int) -> None:
    """The page for a request that the security middleware refuses, and a note of it.

    413 too large, 414 an address too long, 431 too many headers, 400 from a page opened under another address, 403 from
    another site (CSRF), 500 while an exception of the application is handled.
    """
    request = Request(scope, receive)
    unexpected_error = sys.exception()
    if status == 500 and isinstance(unexpected_error, Exception):
        await (await unexpected(request, unexpected_error))(scope, receive, send)
        return
    await _note(request, status)
    if status == 413:
        message, advice = T("What was sent is too large."), T("Shorten it and try again.")
    elif status == 414:
        message = T("This address is longer than any of ours, so it was not opened.")
        advice = T("Open the home page and go on from there.")
    elif status == 431:
        message = T("Your browser sent more cookies or headers than we take, so nothing was done.")
        advice = T("Delete the cookies of this site and try again.")
    elif status == 400:
        address = resources_of(request).config.public_url
        message = T("This page is open under another address than its own, so nothing was done.")
        advice = T(
            "Open %(address)s and do it there. To keep what you typed, go back and copy it first.", address=address
        )
    else:
        message = T("This was sent from another site, so it was not done.")
        advice = T("Open the page here and try again.")
    await _show(request, T("This was not accepted"), message, advice, status)(scope, receive, send)


async def _note(request: Request, status: int) -> None:
    headers, resources = request.headers, resources_of(request)
    # No dependency has asked yet who it is. Looked up only for a browser that has a cookie.
    request.state.viewer = await find_person(resources, session_token(request), address_of(request))
    if status in (414, 431):
        await note_refused(request, "too_large", "an address too long" if status == 414 else "too many headers")
    elif status == 413:
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
    **dict.fromkeys(DATABASE_ERRORS, database_error),
    UnusableValue: unstorable,
    ClientDisconnect: gone,
    Exception: unexpected,
}
