"""The ServiceNow connection's pages: set-up, consent and its answer, status, removal. Everything here is for managers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import AfterValidator, BaseModel, StringConstraints
from pydantic_core import PydanticCustomError

from app.features.connection.access import NotConnected, redirect_uri
from app.features.connection.attempts import AuthorizationOver, begun_with
from app.features.connection.connect import (
    AuthorizationStart,
    SetUp,
    begin_again,
    begin_connect,
    confirm_account,
    finish_connect,
)
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.connection.disconnect import remove_connection
from app.features.provisioning.jobs import start_checks
from app.foundation.errors import AppError, InvalidInput
from app.foundation.text import Text
from app.resources import Resources
from app.web.dependencies import Db, Manager, Res
from app.web.forms import parse, read_form
from app.web.templating import render

router = APIRouter(prefix="/servicenow")
ATTEMPT_COOKIE = "servicenow-attempt"
ATTEMPT_SECONDS = 3600
# What copying from a web page leaves at the ends of a value, besides the blanks that every form field loses.
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00a0"


def _without_blanks(value: str) -> str:
    value = value.strip(INVISIBLE + " \t\n")
    if any(letter.isspace() or not letter.isprintable() for letter in value):
        raise PydanticCustomError("blank_inside", "blank inside")
    return value


Credential = Annotated[str, StringConstraints(max_length=512), AfterValidator(_without_blanks)]


class SetUpForm(BaseModel):
    """The set-up form; what an instance name may be is decided further down."""

    instance: Annotated[str, StringConstraints(max_length=400)]
    client_id: Credential
    client_secret: Credential
    expected_user_name: Annotated[str, StringConstraints(max_length=100)] = ""


@dataclass(frozen=True)
class SetUpPage:
    """The form with what was typed, except the secret; `connection` is the one that would be replaced.

    `removed` is "revoked" or "unconfirmed" right after a connection was removed.
    """

    redirect_url: str
    connection: ConnectionView | None
    typed: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Text] = field(default_factory=dict)
    problem: Text | None = None
    removed: str = ""


@dataclass(frozen=True)
class StatusPage:
    """The active connection; `problem` is why the last authorization came to nothing."""

    connection: ConnectionView
    redirect_url: str
    problem: Text | None = None


@dataclass(frozen=True)
class RemovePage:
    """What is about to be removed."""

    connection: ConnectionView


@router.get("")
async def show(request: Request, _viewer: Manager, resources: Res, session: Db, removed: str = "") -> Response:
    """How the connection is, or the way to one."""
    connection = await connection_view(session)
    if connection is None:
        page = SetUpPage(redirect_uri(resources), None, removed=removed)
        return render(request, "servicenow/set_up.html", page)
    return render(request, "servicenow/status.html", StatusPage(connection, redirect_uri(resources)))


@router.get("/connect")
async def set_up(request: Request, _viewer: Manager, resources: Res, session: Db) -> Response:
    """The set-up form, filled in with what is known of the connection there is."""
    connection = await connection_view(session)
    return render(request, "servicenow/set_up.html", SetUpPage(redirect_uri(resources), connection, _known(connection)))


@router.post("/connect")
async def begin(request: Request, viewer: Manager, resources: Res, session: Db) -> Response:
    """Off to ServiceNow."""
    typed = await read_form(request)
    shown = {name: value for name, value in typed.items() if name != "client_secret"}
    form = parse(typed, SetUpForm)
    errors, problem = dict(form.errors), None
    if form.values:
        try:
            secret = request.cookies.get(ATTEMPT_COOKIE)
            return _off(resources, await begin_connect(resources, viewer, SetUp(**form.values.model_dump()), secret))
        except InvalidInput as error:
            errors, problem = dict(error.fields), None
    connection = await connection_view(session)
    page = SetUpPage(redirect_uri(resources), connection, shown, errors, problem)
    return render(request, "servicenow/set_up.html", page, status=422)


@router.post("/authorize")
async def authorize_again(request: Request, viewer: Manager, resources: Res) -> Response:
    """Off to ServiceNow once more, with the client that is stored."""
    try:
        return _off(resources, await begin_again(resources, viewer, request.cookies.get(ATTEMPT_COOKIE)))
    except AppError:
        return RedirectResponse("/servicenow/connect", 303)


@router.get("/callback")
async def callback(
    request: Request, viewer: Manager, resources: Res, code: str = "", state: str = "", error: str = ""
) -> Response:
    """Back from ServiceNow."""
    try:
        secret = request.cookies.get(ATTEMPT_COOKIE)
        await finish_connect(
            resources, viewer, code=code, state=state, error=error, browser_secret=secret,
            then=partial(start_checks, resources),
        )  # fmt: skip
    except AppError as problem:
        return await _not_connected(request, viewer, resources, state, problem)
    response = RedirectResponse("/ticketProvisioning", 303)
    response.delete_cookie(ATTEMPT_COOKIE, path="/servicenow")
    return response


@router.post("/confirm")
async def confirm(viewer: Manager, resources: Res) -> Response:
    """The account that consented is the right one, whatever it looks like."""
    await confirm_account(resources, viewer, partial(start_checks, resources))
    return RedirectResponse("/ticketProvisioning", 303)


@router.get("/remove")
async def ask_to_remove(request: Request, _viewer: Manager, session: Db) -> Response:
    """What removing means."""
    connection = await connection_view(session)
    if connection is None:
        return RedirectResponse("/servicenow", 303)
    return render(request, "servicenow/remove.html", RemovePage(connection))


@router.post("/remove")
async def remove(viewer: Manager, resources: Res) -> Response:
    """Remove, and say whether ServiceNow confirmed it. A second click finds nothing left to do."""
    try:
        removal = await remove_connection(resources, viewer)
    except NotConnected:
        return RedirectResponse("/servicenow", 303)
    return RedirectResponse(f"/servicenow?removed={'revoked' if removal.revoked else 'unconfirmed'}", 303)


def _off(resources: Resources, start: AuthorizationStart) -> Response:
    response = RedirectResponse(start.address, 303)
    response.set_cookie(
        ATTEMPT_COOKIE,
        start.browser_secret,
        max_age=ATTEMPT_SECONDS,
        path="/servicenow",
        httponly=True,
        # Lax, because the browser comes back from another site.
        samesite="lax",
        secure=resources.config.public_url.startswith("https://"),
    )
    return response


async def _not_connected(
    request: Request, viewer: Manager, resources: Resources, state: str, problem: AppError
) -> Response:
    """Why nothing came of it, above the form with what was typed, or above the connection that is still there."""
    async with resources.database.transaction() as session:
        begun = await begun_with(session, viewer, state)
        connection = await connection_view(session)
    status = problem.status if isinstance(problem, AuthorizationOver) else 409
    typed = _known(connection)
    if begun is not None:
        typed = {
            "instance": begun.instance,
            "client_id": begun.client_id,
            "expected_user_name": begun.expected_user_name,
        }
    elif connection is not None:
        page = StatusPage(connection, redirect_uri(resources), problem.message)
        return render(request, "servicenow/status.html", page, status=status)
    page_again = SetUpPage(redirect_uri(resources), connection, typed, {}, problem.message)
    return render(request, "servicenow/set_up.html", page_again, status=status)


def _known(connection: ConnectionView | None) -> dict[str, str]:
    if connection is None:
        return {}
    return {
        "instance": connection.instance_name,
        "client_id": connection.client_id,
        "expected_user_name": connection.expected_user_name,
    }
