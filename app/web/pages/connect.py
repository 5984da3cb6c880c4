"""Pages that connect an instance: checklist and form, the way to ServiceNow, callback, confirmation. For managers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from fastapi import Request
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, StringConstraints
from pydantic_core import PydanticCustomError

from app.core.database import Session
from app.core.errors import AppError, InvalidInput
from app.core.messages import Message
from app.features.connection.authorization_attempts import (
    AuthorizationDenied,
    AuthorizationOver,
    Begun,
    begun_with,
    last_begun,
)
from app.features.connection.authorize import (
    AuthorizationStart,
    SetUp,
    begin_again,
    begin_connect,
    check_instance,
    confirm_account,
    finish_connect,
)
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.connection.oauth_client import redirect_uri
from app.features.provisioning.checklist import ChecklistLine, as_text, list_checklist
from app.resources import Resources
from app.web.cookies import SERVICENOW_ATTEMPT, read_token, set_cookie
from app.web.dependencies import Db, Manager, Res
from app.web.forms import parse, read_form
from app.web.leaving import SERVICENOW, leave_for
from app.web.note_refused import log_refused, note_refused
from app.web.rate_limits import limited
from app.web.routing import PageRouter, redirect_to
from app.web.templating import render

router = PageRouter(prefix="/servicenow")
# Longer than an attempt lives (15 minutes): a late callback must be told that it expired, not that the browser is another.
COOKIE_SECONDS = 3600
# Copying from a web page leaves these at the ends of a value: zero-width characters, byte order mark, no-break space.
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00a0"


def _without_blanks(value: str) -> str:
    value = value.strip(INVISIBLE + " \t\n")
    if not value:
        raise PydanticCustomError("missing", "missing")
    if any(letter.isspace() or not letter.isprintable() for letter in value):
        raise PydanticCustomError("blank_inside", "blank inside")
    return value


Credential = Annotated[str, StringConstraints(max_length=512), AfterValidator(_without_blanks)]


class SetUpForm(BaseModel):
    """The set-up form. The instance's address is checked by integrations/servicenow/address.py."""

    instance: Annotated[str, StringConstraints(max_length=400)]
    client_id: Credential
    client_secret: Credential
    expected_user_name: Annotated[str, StringConstraints(max_length=100)] = ""
    pkce: Literal["yes", "no"] = "yes"
    scope: Literal["yes", "no"] = "yes"

    def as_set_up(self) -> SetUp:
        return SetUp(
            self.instance,
            self.client_id,
            self.client_secret,
            self.expected_user_name,
            uses_pkce=self.pkce == "yes",
            sends_scope=self.scope == "yes",
        )


@dataclass(frozen=True)
class SetUpPage:
    """The checklist, and the form with what was typed, except the secret.

    `connection` is the one that would be replaced. `removed` is "revoked" or "unconfirmed" right after a removal, and
    `problem` why the last authorization came to nothing.
    """

    redirect_url: str
    checklist: Sequence[ChecklistLine]
    checklist_text: str
    connection: ConnectionView | None
    typed: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Message] = field(default_factory=dict)
    problem: Message | None = None
    removed: str = ""


@router.get("/connect", name="connect.form")
async def set_up(request: Request, viewer: Manager, resources: Res, session: Db, removed: str = "") -> Response:
    connection = await connection_view(session)
    typed = _known(connection) or _typed(await last_begun(session, viewer))
    return await _set_up(request, resources, session, 200, typed=typed, removed=removed)


@router.post("/connect", name="connect.begin", dependencies=[limited("connect")])
async def begin(request: Request, viewer: Manager, resources: Res, session: Db) -> Response:
    typed = await read_form(request)
    form = parse(typed, SetUpForm)
    errors = dict(form.errors)
    if form.values:
        try:
            secret = _browser_secret(request, resources)
            start = await begin_connect(resources, viewer, form.values.as_set_up(), secret)
            return _leave_for_servicenow(request, resources, start)
        except InvalidInput as error:
            errors = dict(error.fields)
    elif typed.get("instance") and "instance" not in errors:
        try:  # All mistakes are shown at once.
            await check_instance(resources, typed["instance"])
        except InvalidInput as error:
            errors |= error.fields
    if "instance" in errors and "instance" not in form.errors:
        refused = errors["instance"]
        typed_address = typed.get("instance", "")
        await note_refused(request, "address", refused.code or refused.message, typed=typed_address)
    # The secret never goes back to the browser: it would stay in its history and caches.
    shown = {name: value for name, value in typed.items() if name != "client_secret"}
    return await _set_up(request, resources, session, 422, typed=shown, errors=errors)


@router.post("/authorize", name="connect.authorize", dependencies=[limited("connect")])
async def authorize_again(request: Request, viewer: Manager, resources: Res) -> Response:
    """Begin another authorization with the stored client."""
    try:
        start = await begin_again(resources, viewer, _browser_secret(request, resources))
    except AppError:
        return redirect_to("connect.form")
    return _leave_for_servicenow(request, resources, start)


@router.get("/callback", name="connect.callback", dependencies=[limited("callback")])
async def callback(
    request: Request, viewer: Manager, resources: Res, code: str = "", state: str = "", error: str = ""
) -> Response:
    """The redirect URI: ServiceNow sends the browser back here, with a code or an error."""
    try:
        secret = _browser_secret(request, resources)
        await finish_connect(resources, viewer, code=code, state=state, error=error, browser_secret=secret)
    except AppError as problem:
        cause = f"{type(problem).__name__}: {problem.code or problem.message.message}"
        # What an attempt of ours came to has its audit entry already.
        if isinstance(problem, AuthorizationOver) and not isinstance(problem, AuthorizationDenied):
            await note_refused(request, "servicenow_callback", cause)
        else:
            log_refused(request.scope, "servicenow_callback", cause)
        async with resources.database.transaction() as session:
            begun = await begun_with(session, viewer, state)
            typed = _typed(begun) or _known(await connection_view(session))
            status = problem.status if isinstance(problem, AuthorizationOver) else 409
            return await _set_up(request, resources, session, status, typed=typed, problem=problem.message)
    # Away from the address that holds the code, so that a reload does not send it again.
    # The cookie stays, so that an authorization begun in another tab of this browser can be finished as well.
    return redirect_to("provisioning.page")


@router.post("/confirm", name="connect.confirm_account")
async def confirm(request: Request, viewer: Manager, resources: Res) -> Response:
    """Confirm the account that consented. If it changed since the page was shown, the page shows it again."""
    shown = (await read_form(request)).get("account", "-")
    await confirm_account(resources, viewer, shown=shown)
    return redirect_to("provisioning.page")


async def _set_up(
    request: Request,
    resources: Resources,
    session: Session,
    status: int,
    *,
    typed: dict[str, str],
    errors: dict[str, Message] | None = None,
    problem: Message | None = None,
    removed: str = "",
) -> Response:
    redirect_url = redirect_uri(resources)
    checklist = await list_checklist(session, redirect_url)
    page = SetUpPage(
        redirect_url,
        checklist,
        as_text([line.step for line in checklist]),
        await connection_view(session),
        typed,
        errors or {},
        problem,
        removed,
    )
    return render(request, "servicenow/set_up.html", page, status=status)


def _leave_for_servicenow(request: Request, resources: Resources, start: AuthorizationStart) -> Response:
    response = leave_for(request, SERVICENOW, start.address)
    public_url = resources.config.public_url
    set_cookie(response, public_url, SERVICENOW_ATTEMPT, start.browser_secret, max_age=COOKIE_SECONDS)
    return response


def _browser_secret(request: Request, resources: Resources) -> str | None:
    return read_token(request.cookies, resources.config.public_url, SERVICENOW_ATTEMPT)


def _known(connection: ConnectionView | None) -> dict[str, str]:
    if connection is None:
        return {}
    return {
        "instance": connection.instance_name,
        "client_id": connection.client_id,
        "expected_user_name": connection.expected_user_name,
        "pkce": "yes" if connection.uses_pkce else "no",
        "scope": "yes" if connection.sends_scope else "no",
    }


def _typed(begun: Begun | None) -> dict[str, str]:
    if begun is None:
        return {}
    return {
        "instance": begun.instance,
        "client_id": begun.client_id,
        "expected_user_name": begun.expected_user_name,
        "pkce": "yes" if begun.uses_pkce else "no",
        "scope": "yes" if begun.sends_scope else "no",
    }
