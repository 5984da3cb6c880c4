"""Everything a handler may ask for, as Annotated names. A role's name in a signature is the route's access check."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request

from app.core.database import Session
from app.core.errors import NotAllowed
from app.features.accounts import permissions
from app.features.accounts.asked import Asked, ask
from app.features.accounts.permissions import NO_ROLE, ROLE_TEXTS, Role
from app.features.accounts.sign_in import local_path
from app.features.accounts.unsent_forms import forget_sent
from app.resources import Resources
from app.web.cookies import SESSION, UNSENT_FORM, read_token
from app.web.routing import url_for

# The parts of pages that are asked for again and again while the page is open (`data-refresh` in the templates).
REFRESHED_PARTS = frozenset({
    "home.card", "tickets.detail", "share.batch", "provisioning.steps", "diagnosis.findings", "secure_score.imports",
})  # fmt: skip


# What the sign-in page is told of a form that was posted without a session: it is kept, or (any other text) it is lost.
KEPT = "kept"
# The mark in the scope of a page that is asked for inside another request.
ASKED_WITHIN = "app.asked_within"


class SignInNeeded(Exception):
    """No session: the browser is sent to sign in and comes back to `return_to`. `unsent`: a posted form was lost."""

    def __init__(self, return_to: str, *, unsent: bool = False) -> None:
        super().__init__(return_to)
        self.address = url_for("sign_in.page", return_to=return_to, unsent=1 if unsent else None)


class NoRole(NotAllowed):
    """Signed in, without any of the product's roles."""

    default = NO_ROLE.needed


# FastAPI runs a plain function in a thread: https://fastapi.tiangolo.com/async/#dependencies
async def get_resources(request: Request) -> Resources:
    return resources_of(request)


def resources_of(request: Request) -> Resources:
    """The long-lived objects of the application that answers this request."""
    found: Resources = request.app.state.resources
    return found


async def open_session(request: Request) -> AsyncIterator[Session]:
    """One transaction per request, committed before the response is sent (see `scope` below)."""
    async with resources_of(request).database.transaction() as session:
        yield session


# FastAPI ends a plain `yield` dependency after the response has left, when a failed commit can no longer be told:
# https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/
Db = Annotated[Session, Depends(open_session, scope="function")]
Res = Annotated[Resources, Depends(get_resources)]


def address_of(request: Request) -> str:
    """The browser's IP address, for the audit log; behind a proxy named in TRUSTED_PROXIES, the one it forwards."""
    return request.client.host if request.client is not None else ""


def session_token(request: Request) -> str | None:
    """What this browser's session cookie holds, if it can be a session's token."""
    return read_token(request.cookies, resources_of(request).config.public_url, SESSION)


def refreshes_itself(request: Request) -> bool:
    """Whether an open page asks for a part of itself again, without any doing of the person (static/js/refresh.js)."""
    name = getattr(request.scope.get("route"), "name", "")
    return request.method == "GET" and "hx-request" in request.headers and name in REFRESHED_PARTS


async def find_signed_in(request: Request) -> permissions.Viewer | None:
    """The signed-in person, if any. Templates read it from `request.state.viewer`. Asks the database once per request."""
    state = request.state
    token = None if getattr(state, "has_asked_who", False) else session_token(request)
    if token is None:
        known: permissions.Viewer | None = state.viewer
        return known
    asked = await ask(resources_of(request), token, address=address_of(request), used=not refreshes_itself(request))
    state.asked, state.viewer, state.has_asked_who = asked, asked.viewer if asked else None, True
    return state.viewer  # type: ignore[no-any-return]


OptionalViewer = Annotated[permissions.Viewer | None, Depends(find_signed_in)]


# Called, not depended on, by what follows: FastAPI takes as long to work out one dependency as a role takes to check.
async def require_signed_in(request: Request) -> permissions.Viewer:
    """Any signed-in person, with or without a role. Raises SignInNeeded."""
    viewer = await find_signed_in(request)
    if viewer is None:
        unsent = request.method != "GET"
        # A posted form and a fragment are no pages to come back to: the page that holds them is (the Referer).
        has_no_page = unsent or "hx-request" in request.headers
        came_from = _path_of(request.headers.get("referer", "")) if has_no_page else path_asked(request)
        raise SignInNeeded(local_path(came_from), unsent=unsent)
    if request.method == "POST":
        await _forget_sent(request)
    return viewer


async def _forget_sent(request: Request) -> None:
    # What is sent now is no longer "not sent yet", also when the person goes back to its page.
    resources = resources_of(request)
    token = read_token(request.cookies, resources.config.public_url, UNSENT_FORM)
    if token and not asked_within(request) and not getattr(request.state, "has_forgotten_sent", False):
        request.state.has_forgotten_sent = True
        async with resources.database.transaction() as session:
            await forget_sent(session, getattr(request.scope.get("route"), "name", ""), token)


def asked_within(request: Request) -> bool:
    """Whether this is a page asked for inside another request, to show in it what was typed (app/web/unsent_pages.py)."""
    return bool(request.scope.get(ASKED_WITHIN))


def path_asked(request: Request) -> str:
    """Path and query of this request, as our own pages write them."""
    # Not Request.url: it is built with the Host header, which may hold anything.
    query = request.scope["query_string"].decode("ascii")
    return quote(request.scope["path"]) + (f"?{query}" if query else "")


def _path_of(address: str) -> str:
    # Only path and query: a forged Referer must not send anyone to another site after signing in (open redirect).
    # https://cheatsheetseries.owasp.org/cheatsheets/Unvalidated_Redirects_and_Forwards_Cheat_Sheet.html
    try:
        parts = urlsplit(address)
    except ValueError:  # "http://[" is no address.
        return "/"
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


SignedIn = Annotated[permissions.Viewer, Depends(require_signed_in)]


def _require(role: Role) -> Callable[..., Coroutine[Any, Any, permissions.Viewer]]:
    async def require_role(request: Request) -> permissions.Viewer:
        viewer = await require_signed_in(request)
        if viewer.role is None:
            raise NoRole
        if not viewer.has(role):
            raise NotAllowed(ROLE_TEXTS[role].needed)
        return viewer

    return require_role


require_viewer = _require(Role.VIEWER)
require_sharer = _require(Role.SHARER)
require_manager = _require(Role.MANAGER)


async def asked_now(request: Request) -> Asked:
    """What the database answered to this request's one question. Raises SignInNeeded."""
    await require_signed_in(request)
    return asked_of(request)


def asked_of(request: Request) -> Asked:
    """The same for a handler that has a viewer already."""
    found: Asked = request.state.asked
    return found


AskedNow = Annotated[Asked, Depends(asked_now)]
Viewer = Annotated[permissions.Viewer, Depends(require_viewer)]
Sharer = Annotated[permissions.Viewer, Depends(require_sharer)]
Manager = Annotated[permissions.Viewer, Depends(require_manager)]
