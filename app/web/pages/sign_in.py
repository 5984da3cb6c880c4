"""Sign-in, its answer, and sign-out."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app.core.errors import AppError
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.accounts.audit import log_action
from app.features.accounts.sessions import end_session, end_sessions_named
from app.features.accounts.sign_in import begin_sign_in, finish_sign_in, local_path
from app.web.dependencies import Db, OptionalViewer, Res, address_of, session_cookie_name
from app.web.routing import PageRouter, url_for
from app.web.templating import render

router = PageRouter()
log = get_logger(__name__)
ATTEMPT_COOKIE = "sign-in-attempt"
ATTEMPT_SECONDS = 600
LONGEST_ERROR = 80
NO_CODE = T("You are not signed in: no confirmation came back from the sign-in. Please try again.")
# Anybody can send somebody to this address with a sentence of their own: only names that are known are repeated
# (RFC 6749 4.1.2.1, OpenID Connect Core 3.1.2.6).
KNOWN_ERRORS = {
    "access_denied", "consent_required", "interaction_required", "invalid_client", "invalid_request", "invalid_resource",
    "invalid_scope", "login_required", "server_error", "temporarily_unavailable", "unauthorized_client",
    "unsupported_response_type",
}  # fmt: skip


@dataclass(frozen=True)
class SignInPage:
    """`return_to` is where the person wanted to go; `problem` is why the last attempt failed; `unsent`: a form was lost."""

    return_to: str
    problem: Message | None
    unsent: bool = False


@router.get("/sign-in", name="sign_in.page")
async def sign_in_page(request: Request, somebody: OptionalViewer, return_to: str = "/", unsent: str = "") -> Response:
    """The way in."""
    if somebody is not None:
        return RedirectResponse(local_path(return_to), 303)
    return render(request, "sign_in/page.html", SignInPage(local_path(return_to), None, bool(unsent)))


@router.post("/sign-in", name="sign_in.begin")
async def start(request: Request, resources: Res, return_to: str = "/") -> Response:
    """Off to Entra ID."""
    try:
        begun = await begin_sign_in(resources, return_to)
    except AppError as error:
        page = SignInPage(local_path(return_to), error.message)
        return render(request, "sign_in/page.html", page, status=error.status)
    response = RedirectResponse(begun.address, 303)
    response.set_cookie(
        ATTEMPT_COOKIE,
        begun.browser_secret,
        max_age=ATTEMPT_SECONDS,
        path=url_for("sign_in.page"),
        httponly=True,
        samesite="lax",
        secure=resources.config.public_url.startswith("https://"),
    )
    return response


@router.get("/sign-in/callback", name="sign_in.callback")
async def callback(request: Request, resources: Res, code: str = "", state: str = "", error: str = "") -> Response:
    """Back from Entra ID."""
    if error or not code:
        log.info("sign-in not completed", error=error[:LONGEST_ERROR])
        denied = (
            NO_CODE if error not in KNOWN_ERRORS else T("%(what)s The reason: %(reason)s.", what=NO_CODE, reason=error)
        )
        return render(request, "sign_in/page.html", SignInPage("/", denied), status=400)
    try:
        secret = request.cookies.get(ATTEMPT_COOKIE)
        session = await finish_sign_in(
            resources, code=code, state=state, browser_secret=secret, address=address_of(request)
        )
    except AppError as problem:
        return render(request, "sign_in/page.html", SignInPage("/", problem.message), status=problem.status)
    response = RedirectResponse(session.return_to, 303)
    response.set_cookie(
        session_cookie_name(resources),
        session.token,
        expires=session.expires_at,
        path="/",
        httponly=True,
        samesite="lax",
        secure=resources.config.public_url.startswith("https://"),
    )
    response.delete_cookie(ATTEMPT_COOKIE, path=url_for("sign_in.page"))
    return response


@router.post("/sign-out", name="sign_out.begin")
async def sign_out(request: Request, somebody: OptionalViewer, resources: Res, session: Db) -> Response:
    """Out here, and then out at Microsoft; here in any case."""
    if somebody is not None:
        await log_action(session, somebody, T("Signed out"))
    await end_session(session, request.cookies.get(session_cookie_name(resources)))
    try:
        back_here = resources.config.public_url + url_for("sign_out.page")
        address = await resources.entra.logout_url(post_logout_redirect_uri=back_here)
    except AppError:
        address = url_for("sign_out.page")
    response = RedirectResponse(address, 303)
    response.delete_cookie(session_cookie_name(resources), path="/")
    return response


# The earlier address stays in app registrations until an administrator changes it there. It answers by itself, because a
# hidden frame without cookies should not depend on a redirect.
@router.get("/sign-out/elsewhere", name="sign_out.front_channel_earlier")
@router.get("/sign-out/front-channel", name="sign_out.front_channel")
async def signed_out_elsewhere(resources: Res, session: Db, sid: str = "", iss: str = "") -> Response:
    """Front-channel logout: the session at Entra ID has ended. It comes from a hidden frame, without our cookies.

    Always 200, as openid.net/specs/openid-connect-frontchannel-1_0.html asks; another issuer ends nothing.
    """
    if iss in ("", f"{resources.entra.authority}/{resources.config.tenant_id}/v2.0"):
        await end_sessions_named(session, sid)
    return Response(status_code=200)


@router.get("/signed-out", name="sign_out.page")
async def signed_out(request: Request) -> Response:
    """Goodbye."""
    return render(request, "sign_in/signed_out.html", None)
