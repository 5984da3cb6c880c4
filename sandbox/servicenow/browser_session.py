"""Which person a browser is signed in as. Renders no page."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.store import Record


def instance_of(request: Request) -> SandboxInstance:
    """The stand-in this request is for."""
    found: SandboxInstance = request.app.state.instance
    return found


def cookie_name(request: Request) -> str:
    """Browsers share cookies between ports of one host, so that each stand-in on it needs a name of its own."""
    return f"glide_user_session_{request.url.port or 80}"


def session_of(request: Request) -> Record | None:
    """The browser's session."""
    return instance_of(request).store.find("_browser_session", token=request.cookies.get(cookie_name(request), "-"))


def signed_in_user(request: Request) -> Record | None:
    """Who is signed in in this browser."""
    session = session_of(request)
    return instance_of(request).store.get("sys_user", session["user"]) if session else None


def form_secret(request: Request) -> str:
    """What the consent form must send back (4); unguessable without a session."""
    session = session_of(request)
    return session["ck"] if session else secrets.token_hex(32)


def sign_in(request: Request, user: Record, goto: str) -> Response:
    """Begin a session and go on."""
    token = secrets.token_urlsafe(32)
    instance_of(request).store.put(
        "_browser_session", {"token": token, "user": user["sys_id"], "ck": secrets.token_hex(32)}
    )
    response = RedirectResponse(goto, 302)
    response.set_cookie(cookie_name(request), token, httponly=True, samesite="lax")
    return response


def sign_out(request: Request, goto: str) -> Response:
    """End the session and go on."""
    session = session_of(request)
    if session:
        instance_of(request).store.remove("_browser_session", session["sys_id"])
    response = RedirectResponse(goto, 302)
    response.delete_cookie(cookie_name(request))
    return response


def local_path(address: str) -> str:
    """An address to go on to, if it is one of this instance; else its front door."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) else "/"
