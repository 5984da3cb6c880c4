"""Browser sessions: which user a browser is signed in as. Renders no page."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.store import Record


def instance_of(request: Request) -> SandboxInstance:
    found: SandboxInstance = request.app.state.instance
    return found


def cookie_name(request: Request) -> str:
    # Cookies are shared by all ports of a host (https://www.rfc-editor.org/rfc/rfc6265#section-8.5): the port in the name
    # keeps two sandbox instances apart.
    return f"glide_user_session_{request.url.port or 80}"


def session_of(request: Request) -> Record | None:
    return instance_of(request).store.find("_browser_session", token=request.cookies.get(cookie_name(request), "-"))


def signed_in_user(request: Request) -> Record | None:
    session = session_of(request)
    return instance_of(request).store.get("sys_user", session["user"]) if session else None


def form_secret(request: Request) -> str:
    """Return the CSRF token that the consent form must send back, or an unguessable value without a session."""
    # See docs/facts/servicenow.md#sandbox-4
    session = session_of(request)
    return session["ck"] if session else secrets.token_hex(32)


def sign_in(request: Request, user: Record, goto: str) -> Response:
    """Start a session for the user and redirect to `goto`."""
    response = RedirectResponse(goto, 302)
    start_session(request, user, response)
    return response


def start_session(request: Request, user: Record, response: Response) -> None:
    """Start a session for the user, whose cookie the response sets."""
    token = secrets.token_urlsafe(32)
    instance_of(request).store.put(
        "_browser_session", {"token": token, "user": user["sys_id"], "ck": secrets.token_hex(32)}
    )
    response.set_cookie(cookie_name(request), token, httponly=True, samesite="lax")


def user_by_session(request: Request) -> Record | None:
    """Return the user of an API call that carries a browser's session and that session's own token, or None."""
    session, given = session_of(request), request.headers.get("x-usertoken", "")
    if session is None or not secrets.compare_digest(session["ck"].encode(), given.encode()):
        return None
    return instance_of(request).store.get("sys_user", session["user"])


def sign_out(request: Request, goto: str) -> Response:
    """End the session and redirect to `goto`."""
    session = session_of(request)
    if session:
        instance_of(request).store.remove("_browser_session", session["sys_id"])
    response = RedirectResponse(goto, 302)
    response.delete_cookie(cookie_name(request))
    return response


def local_path(address: str) -> str:
    """Return the address if it is a path of this instance, else "/": no open redirect."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) else "/"
