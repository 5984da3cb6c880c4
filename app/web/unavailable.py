"""What a person sees while the database is away, busy or full: 503, and the form that was sent, to be sent again."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.database_connection import GRACE_SECONDS, patience
from app.core.database_trouble import DatabaseTrouble, cause_of
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.accounts.unsent_forms import is_secret_field, without_secrets
from app.web.dependencies import path_asked
from app.web.forms import UnreadableForm, refuse_other_charsets
from app.web.templating import render
from app.web.unsent_pages import MOST_FIELDS

log = get_logger(__name__)

# https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
RETRY_AFTER_SECONDS = 10
# Characters of a form that a page carries; larger ones stay behind the browser's Back.
LARGEST_KEPT_FORM = 250_000

TITLES = {
    DatabaseTrouble.AWAY: T("The database does not answer"),
    DatabaseTrouble.BUSY: T("Too busy at the moment"),
    DatabaseTrouble.FULL: T("Nothing can be stored at the moment"),
    DatabaseTrouble.SCHEMA: T("An update is under way"),
}
MESSAGES = {
    DatabaseTrouble.AWAY: T("The database of this product does not answer, so this page cannot be shown."),
    DatabaseTrouble.BUSY: T("The database has too much to do, so this page took too long."),
    DatabaseTrouble.FULL: T("The database has no space left. Your administrator has to give it some."),
    DatabaseTrouble.SCHEMA: T("The database belongs to another version of this product, so this page cannot be shown."),
}


@dataclass(frozen=True)
class UnavailablePage:
    """`fields` are sent again as they were; `secrets` are the names of fields that are typed again."""

    title: Message
    message: Message
    safe: Message
    address: str
    correlation_id: str
    is_form: bool = False
    fields: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def advice(self) -> Message:
        """For the fragment that htmx shows in place of a card."""
        return self.safe


SAFE = T("What you had already sent and seen confirmed is safe, and goes on by itself.")


class PatienceMiddleware:
    """Limits how long one request waits for the database in all; what goes beyond ends in this page."""

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds + GRACE_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with patience(self._seconds):
            await self._app(scope, receive, send)


async def unavailable(request: Request, error: BaseException, trouble: DatabaseTrouble) -> Response:
    """The page or fragment with 503. One line in the log, without the traceback: the cause is not in our code."""
    log.warning(
        "http.request.unavailable",
        method=request.method, path=request.scope["path"], trouble=trouble.value, cause=cause_of(error),
    )  # fmt: skip
    is_fragment = "hx-request" in request.headers
    form = await _sent(request) if request.method == "POST" and not is_fragment else None
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)] if form else []
    page = UnavailablePage(
        title=TITLES[trouble],
        message=MESSAGES[trouble],
        safe=SAFE,
        address=_address(request),
        correlation_id=request.state.correlation_id,
        is_form=form is not None,
        fields=tuple(without_secrets(fields)),
        secrets=tuple(name for name, _ in fields if is_secret_field(name)),
    )
    template = "errors/fragment.html" if is_fragment else "errors/unavailable.html"
    return render(request, template, page, status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _address(request: Request) -> str:
    # "//host" would lead a form or link to another site.
    return "/" + path_asked(request).lstrip("/")


async def _sent(request: Request) -> FormData | None:
    """The posted form, also where no handler came to read it; None when there is none that a page can carry."""
    try:
        refuse_other_charsets(request)
        form = await request.form(max_fields=MOST_FIELDS)
    # Unreadable, or read by a handler as something else.
    except (UnreadableForm, HTTPException, RuntimeError, AssertionError):
        return None
    size = sum(len(name) + len(value) for name, value in form.multi_items() if isinstance(value, str))
    return form if size <= LARGEST_KEPT_FORM else None
