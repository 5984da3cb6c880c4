"""What a handler may ask for, as Annotated names; saying `Manager` in a signature is what guards the route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from app.core.database import Session
from app.core.errors import NotAllowed
from app.core.messages import T
from app.features.accounts import permissions
from app.features.accounts.sessions import find_viewer
from app.resources import Resources
from app.web.routing import url_for


class SignInNeeded(Exception):
    """Nobody is signed in; the browser is sent to sign in and comes back to `return_to`. `unsent`: a form was lost."""

    def __init__(self, return_to: str, *, unsent: bool = False) -> None:
        super().__init__(return_to)
        self.address = url_for("sign_in.page", return_to=return_to, unsent=1 if unsent else None)


class NoRole(NotAllowed):
    """Signed in, and without any role that may look."""

    default = T("Your account has no role here.")


def get_resources(request: Request) -> Resources:
    """The long-lived things."""
    found: Resources = request.app.state.resources
    return found


async def open_session(request: Request) -> AsyncIterator[Session]:
    """One transaction per request, committed before the answer is sent (see the scope below)."""
    async with get_resources(request).database.transaction() as session:
        yield session


# A plain `yield` dependency would commit after the answer has left.
Db = Annotated[Session, Depends(open_session, scope="function")]
Res = Annotated[Resources, Depends(get_resources)]


def session_cookie_name(resources: Resources) -> str:
    """`__Host-` binds the cookie to this host over https; browsers refuse it on plain http, where only demos run."""
    return "__Host-session" if resources.config.public_url.startswith("https://") else "session"


def address_of(request: Request) -> str:
    """Where the browser calls from; behind proxies that are trusted (TRUSTED_PROXIES), what they say about it."""
    return request.client.host if request.client is not None else ""


async def find_signed_in(request: Request, resources: Res) -> permissions.Viewer | None:
    """The signed-in person, if any; pages read it from `request.state.viewer` for the frame."""
    token = request.cookies.get(session_cookie_name(resources))
    async with resources.database.transaction() as session:
        viewer = await find_viewer(session, resources.config, token)
    if viewer is not None:
        viewer = replace(viewer, address=address_of(request))
    request.state.viewer = viewer
    return viewer


OptionalViewer = Annotated[permissions.Viewer | None, Depends(find_signed_in)]


async def require_signed_in(request: Request, somebody: OptionalViewer) -> permissions.Viewer:
    """Anybody who is signed in."""
    if somebody is None:
        unsent = request.method != "GET"
        # A form, or a part of a page: on to the page that holds it.
        inner = unsent or "hx-request" in request.headers
        raise SignInNeeded(_path_of(request.headers.get("referer", "") if inner else str(request.url)), unsent=unsent)
    return somebody


def _path_of(address: str) -> str:
    """Only the path: the sign-in comes back to this site, whatever the browser says of where it was."""
    parts = urlsplit(address)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


SignedIn = Annotated[permissions.Viewer, Depends(require_signed_in)]


async def require_viewer(somebody: SignedIn) -> permissions.Viewer:
    """Security Reader or more."""
    if not somebody.may_view:
        raise NoRole
    return somebody


Viewer = Annotated[permissions.Viewer, Depends(require_viewer)]


async def require_sharer(viewer: Viewer) -> permissions.Viewer:
    """Security Operator or more."""
    if not viewer.may_share:
        raise NotAllowed(
            T("To share actions as tickets, you need the role Security Operator or Security Administrator.")
        )
    return viewer


async def require_manager(viewer: Viewer) -> permissions.Viewer:
    """Security Administrator."""
    if not viewer.may_manage:
        raise NotAllowed(T("To change this, you need the role Security Administrator."))
    return viewer


Sharer = Annotated[permissions.Viewer, Depends(require_sharer)]
Manager = Annotated[permissions.Viewer, Depends(require_manager)]
