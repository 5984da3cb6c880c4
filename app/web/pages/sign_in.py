"""Sign-in at Entra ID, its callback, and sign-out. Sets and deletes the cookies; holds no rule about who may sign in."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app.core.errors import AppError
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.accounts.sessions import end_sessions_named, sign_out
from app.features.accounts.sign_in import ATTEMPT_MINUTES, begin_sign_in, finish_sign_in, local_path
from app.web.dependencies import Db, OptionalViewer, Res, address_of, session_cookie_name
from app.web.routing import PageRouter, url_for
from app.web.templating import render

router = PageRouter()
log = get_logger(__name__)
ATTEMPT_COOKIE = "sign-in-attempt"
# Enough for every known code; an unknown one is cut, so that nothing long enters the log.
LONGEST_ERROR = 80
NO_CODE = T("You are not signed in: no confirmation came back from the sign-in. Please try again.")
# Content injection: a link to the callback can carry any text as `error`, and the page would show it under our name. Only
# the codes of RFC 6749 4.1.2.1 and OpenID Connect Core 3.1.2.6 are repeated.
# https://owasp.org/www-community/attacks/Content_Spoofing
KNOWN_ERRORS = {
    "access_denied", "consent_required", "interaction_required", "invalid_client", "invalid_request", "invalid_resource",
    "invalid_scope", "login_required", "server_error", "temporarily_unavailable", "unauthorized_client",
    "unsupported_response_type",
}  # fmt: skip


@dataclass(frozen=True)
class SignInPage:
    """`return_to` is the page to open afterwards, `problem` why the last attempt failed; `unsent`: a form was lost."""

    return_to: str
    problem: Message | None
    unsent: bool = False


@router.get("/sign-in", name="sign_in.page")
async def sign_in_page(request: Request, viewer: OptionalViewer, return_to: str = "/", unsent: str = "") -> Response:
    if viewer is not None:
        return RedirectResponse(local_path(return_to), 303)
    return render(request, "sign_in/page.html", SignInPage(local_path(return_to), None, bool(unsent)))


@router.post("/sign-in", name="sign_in.begin")
async def begin(request: Request, resources: Res, return_to: str = "/") -> Response:
    try:
        start = await begin_sign_in(resources, return_to)
    except AppError as error:
        page = SignInPage(local_path(return_to), error.message)
        return render(request, "sign_in/page.html", page, status=error.status)
    response = RedirectResponse(start.address, 303)
    # Login CSRF: the callback counts only in the browser that holds this secret, so that a link cannot sign a person in as
    # another one. RFC 6749 10.12. Lax, because the browser comes back from another site by a GET, where Strict is not sent.
    response.set_cookie(
        ATTEMPT_COOKIE,
        start.browser_secret,
        max_age=60 * ATTEMPT_MINUTES,
        path=url_for("sign_in.page"),
        httponly=True,
        samesite="lax",
        secure=resources.config.public_url.startswith("https://"),
    )
    return response


@router.get("/sign-in/callback", name="sign_in.callback")
async def callback(request: Request, resources: Res, code: str = "", state: str = "", error: str = "") -> Response:
    """Entra ID sends the browser here: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow."""
    if error or not code:
        log.info("account.sign_in.not_completed", error=error[:LONGEST_ERROR])
        denied = (
            NO_CODE if error not in KNOWN_ERRORS else T("%(what)s The reason: %(reason)s.", what=NO_CODE, reason=error)
        )
        return render(request, "sign_in/page.html", SignInPage(url_for("home.page"), denied), status=400)
    try:
        secret = request.cookies.get(ATTEMPT_COOKIE)
        session = await finish_sign_in(
            resources, code=code, state=state, browser_secret=secret, address=address_of(request)
        )
    except AppError as problem:
        page = SignInPage(url_for("home.page"), problem.message)
        return render(request, "sign_in/page.html", page, status=problem.status)
    response = RedirectResponse(session.return_to, 303)
    # HttpOnly keeps the token from scripts. Lax, not Strict: links to tickets in ServiceNow must open for signed-in people.
    # https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html#cookies
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
async def begin_sign_out(request: Request, viewer: OptionalViewer, resources: Res, session: Db) -> Response:
    """End the session here, and then at Microsoft; here also while Microsoft cannot be reached."""
    await sign_out(session, viewer, request.cookies.get(session_cookie_name(resources)))
    here = url_for("sign_out.page")
    try:
        # The end-session endpoint: https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc#send-a-sign-out-request
        address = await resources.entra.logout_url(post_logout_redirect_uri=resources.config.public_url + here)
    except AppError:
        address = here
    response = RedirectResponse(address, 303)
    response.delete_cookie(session_cookie_name(resources), path="/")
    return response


# The earlier address stays in app registrations until an administrator changes it there. It answers by itself, because a
# hidden frame without cookies should not depend on a redirect.
@router.get("/sign-out/elsewhere", name="sign_out.front_channel_earlier")
@router.get("/sign-out/front-channel", name="sign_out.front_channel")
async def front_channel_logout(resources: Res, session: Db, sid: str = "", iss: str = "") -> Response:
    """The session at Entra ID has ended. Called from a hidden frame, without our cookies; always 200.

    https://openid.net/specs/openid-connect-frontchannel-1_0.html#RPLogout, docs/facts/microsoft-graph.md#edge-55
    """
    # The issuer is checked when it is sent, so that another tenant's session of the same name ends nothing here.
    if iss in ("", f"{resources.entra.authority}/{resources.config.tenant_id}/v2.0"):
        await end_sessions_named(session, sid)
    return Response(status_code=200)


@router.get("/signed-out", name="sign_out.page")
async def signed_out(request: Request) -> Response:
    return render(request, "sign_in/signed_out.html", None)
