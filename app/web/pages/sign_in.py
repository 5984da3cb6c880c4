"""Sign-in at Entra ID, its callback, and sign-out. Sets and deletes the cookies; holds no rule about who may sign in."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from app.core.errors import AppError
from app.core.messages import Message, T
from app.core.random_tokens import hash_token
from app.features.accounts.sessions import Browser, end_sessions_named, sign_out
from app.features.accounts.sign_in import (
    COOKIE_SECONDS,
    SignInStart,
    begin_sign_in,
    finish_sign_in,
    page_after_sign_in,
    refused,
    wanted_page,
)
from app.resources import Resources
from app.web.cookies import (
    SESSION,
    SIGN_IN_ATTEMPT,
    UNSENT_FORM,
    delete_cookie,
    forget_everything,
    read_token,
    set_cookie,
    tokens_beginning,
)
from app.web.dependencies import KEPT, Db, OptionalViewer, Res, address_of, session_token
from app.web.leaving import MICROSOFT, leave_for
from app.web.note_refused import log_refused, note_refused
from app.web.rate_limits import limited_by_address
from app.web.routing import PageRouter, redirect_to, redirect_to_path, url_for
from app.web.templating import render

router = PageRouter()
# Tabs that a browser restores together; older attempts are dropped, since browsers and servers limit what a request may hold.
# https://www.rfc-editor.org/rfc/rfc6265#section-6.1
MOST_ATTEMPTS = 8
# Enough for every known code; an unknown one is cut, so that nothing long enters the log.
LONGEST_ERROR = 80


@dataclass(frozen=True)
class SignInPage:
    """`return_to` is the page to open afterwards, `problem` why the last attempt failed.

    `unsent`: a form did not arrive; `kept`: what was typed in it is shown again after the sign-in.
    """

    return_to: str
    problem: Message | None
    unsent: bool = False
    kept: bool = False


@router.get("/sign-in", name="sign_in.page")
async def sign_in_page(request: Request, viewer: OptionalViewer, return_to: str = "/", unsent: str = "") -> Response:
    if viewer is not None:
        return redirect_to_path(page_after_sign_in(return_to))
    page = SignInPage(page_after_sign_in(return_to), None, unsent=bool(unsent), kept=unsent == KEPT)
    return render(request, "sign_in/page.html", page)


@router.post("/sign-in", name="sign_in.begin", dependencies=[limited_by_address("sign_in")])
async def begin(request: Request, resources: Res, return_to: str = "/") -> Response:
    try:
        start = await begin_sign_in(resources, return_to)
    except AppError as error:
        page = SignInPage(page_after_sign_in(return_to), error.message)
        return render(request, "sign_in/page.html", page, status=error.status)
    response = leave_for(request, MICROSOFT, start.address)
    _remember_attempt(response, request, resources, start)
    return response


def _attempt_cookie(state: str) -> str:
    return SIGN_IN_ATTEMPT + hash_token(state)[:16]


def _attempts(request: Request, resources: Resources) -> dict[str, str]:
    """The secrets of this browser's attempts by cookie name, oldest first."""
    return tokens_beginning(request.cookies, resources.config.public_url, SIGN_IN_ATTEMPT)


def _remember_attempt(response: Response, request: Request, resources: Resources, start: SignInStart) -> None:
    # Login CSRF: the callback counts only in the browser that holds this secret, so that a link cannot sign a person in as
    # another one. RFC 6749 10.12.
    public_url = resources.config.public_url
    set_cookie(response, public_url, _attempt_cookie(start.state), start.browser_secret, max_age=COOKIE_SECONDS)
    for name in list(_attempts(request, resources))[: -MOST_ATTEMPTS + 1]:
        delete_cookie(response, public_url, name)


@router.get("/sign-in/callback", name="sign_in.callback", dependencies=[limited_by_address("callback")])
async def callback(
    request: Request,
    viewer: OptionalViewer,
    resources: Res,
    code: str = "",
    state: str = "",
    error: str = "",
    error_description: str = "",
) -> Response:
    """Entra ID sends the browser here: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow."""
    attempts = _attempts(request, resources)
    browser = Browser(
        address=address_of(request),
        user_agent=request.headers.get("user-agent", ""),
        token=session_token(request),
        unsent_token=read_token(request.cookies, resources.config.public_url, UNSENT_FORM),
    )
    try:
        if error or not code:
            raise refused(error, error_description)
        secret = attempts.get(_attempt_cookie(state))
        session = await finish_sign_in(resources, code=code, state=state, browser_secret=secret, browser=browser)
    except AppError as problem:
        await note_refused(request, "sign_in", _cause(problem), error=error[:LONGEST_ERROR])
        async with resources.database.transaction() as rows:
            wanted = await wanted_page(rows, state, attempts.values())
        # Back, a reload, or another tab that was first: a person who is signed in goes on, and has nothing to repair.
        if viewer is not None:
            return redirect_to_path(wanted)
        return render(request, "sign_in/page.html", SignInPage(wanted, problem.message), status=problem.status)
    response = redirect_to_path(session.return_to)
    set_cookie(response, resources.config.public_url, SESSION, session.token, expires=session.expires_at)
    # The attempt's cookie stays until it ends: it opens nothing any more, and finds the wanted page after "Back".
    return response


def _cause(problem: AppError) -> str:
    """Which check refused, where one of ours did: signature, issuer, tenant, aud, nonce, expired …"""
    why = getattr(problem, "why", "")
    return f"{type(problem).__name__}: {why or problem.code or problem.message.message}"


@router.post("/sign-out", name="sign_out.begin")
async def begin_sign_out(request: Request, viewer: OptionalViewer, resources: Res, session: Db) -> Response:
    """End the session here, and then at Microsoft; here also while Microsoft cannot be reached."""
    await sign_out(session, viewer, session_token(request))
    here = url_for("sign_out.page")
    try:
        # The end-session endpoint: https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc#send-a-sign-out-request
        address = await resources.entra.logout_url(post_logout_redirect_uri=resources.config.public_url + here)
    except AppError:
        response: Response = redirect_to("sign_out.page")
    else:
        request.state.viewer = None  # The page on the way out is no longer this person's.
        note = T("You are signed out here. Microsoft can sign you out there as well.")
        response = leave_for(request, MICROSOFT, address, note=note)
    forget_everything(response, resources.config.public_url, request.cookies)
    return response


# The earlier address stays in app registrations until an administrator changes it there. It answers by itself, because a
# hidden frame without cookies should not depend on a redirect.
@router.get("/sign-out/elsewhere", name="sign_out.front_channel_earlier")
@router.get("/sign-out/front-channel", name="sign_out.front_channel")
async def front_channel_logout(request: Request, resources: Res, session: Db, sid: str = "", iss: str = "") -> Response:
    """The session at Entra ID has ended. Called from a hidden frame, without our cookies; always 200.

    https://openid.net/specs/openid-connect-frontchannel-1_0.html#RPLogout, docs/facts/microsoft-graph.md#edge-55
    """
    # The issuer is checked when it is sent, so that another tenant's session of the same name ends nothing here.
    if iss in ("", f"{resources.entra.authority}/{resources.config.tenant_id}/v2.0"):
        await end_sessions_named(session, sid, address_of(request))
    else:
        log_refused(request.scope, "front_channel", "another issuer", issuer=iss)
    return Response(status_code=200)


@router.get("/signed-out", name="sign_out.page")
async def signed_out(request: Request) -> Response:
    return render(request, "sign_in/signed_out.html", None)
