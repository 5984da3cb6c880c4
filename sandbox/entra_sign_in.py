"""Sign-in pages of the Entra ID sandbox: account picker, consent, cancel, silent sign-in, sign-out. Issues codes only."""

from __future__ import annotations

import secrets
import time
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.entra import CODE_SECONDS, PEOPLE, EntraAccount, EntraTenant, Given, directory_of
from sandbox.page_rendering import render_page

PROMPTS = ("login", "none", "select_account", "consent")
CHALLENGE_METHODS = ("S256", "plain")


async def authorize(request: Request) -> Response:
    """Show the account picker, or answer at once for `prompt=none`.

    A request that names no known client or redirect URI gets an error page; other mistakes are sent to the redirect URI.
    """
    # https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#request-an-authorization-code
    directory = directory_of(request)
    asked = await _asked(request)
    if asked.get("client_id") != directory.settings.client_id:
        return _error_page(request, "AADSTS700016: Application was not found in the directory.")
    if asked.get("redirect_uri") not in directory.settings.redirect_uris:
        return _error_page(
            request, "AADSTS50011: The redirect URI does not match the redirect URIs configured for the application."
        )
    wrong = _mistake(asked)
    if wrong:
        return _send_back(request, asked, {"error": wrong[0], "error_description": wrong[1]})
    if asked.get("prompt") == "none":
        return _silently(request, directory, asked)
    return render_page(request, "pick_account.html", people=PEOPLE, asked=asked)


def _mistake(asked: dict[str, str]) -> tuple[str, str] | None:
    """Return error and description for a mistake in a request whose client and redirect URI are known, or None."""
    # https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    for name in ("response_type", "scope"):
        if not asked.get(name):
            text = f"AADSTS900144: The request body must contain the following parameter: '{name}'."
            return "invalid_request", text
    if asked["response_type"] != "code":
        text = f"AADSTS700054: response_type '{asked['response_type']}' is not enabled for the application."
        return "unsupported_response_type", text
    prompts = asked.get("prompt", "").split()
    if not set(prompts) <= set(PROMPTS) or len(prompts) > 1:
        return "invalid_request", "AADSTS90023: Unsupported 'prompt' value."
    # PKCE is optional for a web app; a challenge without a method is a plain one: https://www.rfc-editor.org/rfc/rfc7636
    method = asked.get("code_challenge_method", "plain")
    if method not in CHALLENGE_METHODS or ("code_challenge_method" in asked and not asked.get("code_challenge")):
        return "invalid_request", "AADSTS501491: Invalid size of Code_Challenge parameter."
    return None


def _silently(request: Request, directory: EntraTenant, asked: dict[str, str]) -> Response:
    # https://learn.microsoft.com/entra/identity-platform/v2-oauth2-implicit-grant-flow#acquire-access-tokens-silently
    person = directory.person_of(request.cookies.get(cookie_name(request), ""))
    if person is None:
        text = "AADSTS50058: A silent sign-in request was sent but no user is signed in."
        return _send_back(request, asked, {"error": "login_required", "error_description": text})
    return _send_back(request, asked, {"code": _new_code(directory, person, asked)})


async def pick_account(request: Request) -> Response:
    """Sign the picked account in and send its code back; with `prompt=consent`, ask for the permissions first."""
    directory = directory_of(request)
    form = await _asked(request)
    chosen, answer = form.pop("oid", ""), form.pop("answer", "")
    person = next((person for person in PEOPLE if person.oid == chosen), None)
    if form.get("redirect_uri") not in directory.settings.redirect_uris or (person is None and answer != "cancel"):
        return _error_page(request, "AADSTS50020: This account cannot be used.")
    if person is None or answer == "cancel":
        text = "AADSTS65004: User declined to consent to access the app."
        refused = {"error": "access_denied", "error_subcode": "cancel", "error_description": text}
        return _send_back(request, form, refused)
    if form.get("prompt") == "consent" and answer != "accept":
        return render_page(request, "permissions.html", person=person, asked=form)
    code = {"code": _new_code(directory, person, form), "session_state": secrets.token_hex(16)}
    response = _send_back(request, form, code)
    session = secrets.token_urlsafe(32)
    directory.sessions[session] = person
    response.set_cookie(cookie_name(request), session, httponly=True, samesite="lax")
    return response


async def logout(request: Request) -> Response:
    """End the browser's session, and redirect to the post-logout address at once where it is one of the application."""
    directory = directory_of(request)
    directory.sessions.pop(request.cookies.get(cookie_name(request), ""), None)
    back = (await _asked(request)).get("post_logout_redirect_uri", "")
    allowed = {"/".join(uri.split("/")[:3]) for uri in directory.settings.redirect_uris}
    response: Response
    if "/".join(back.split("/")[:3]) in allowed:
        response = RedirectResponse(back, 303)
    else:
        response = render_page(request, "message.html", title="Signed out", text="You signed out of your account.")
    response.delete_cookie(cookie_name(request))
    return response


def cookie_name(request: Request) -> str:
    # Cookies are shared by all ports of a host: https://www.rfc-editor.org/rfc/rfc6265#section-8.5
    return f"ESTSAUTH_{request.url.port or 80}"


def _new_code(directory: EntraTenant, person: EntraAccount, asked: dict[str, str]) -> str:
    code = secrets.token_urlsafe(48)
    directory.codes[code] = Given(person, asked, time.time() + CODE_SECONDS)
    return code


def _send_back(request: Request, asked: dict[str, str], values: dict[str, str]) -> Response:
    """Answer at the redirect URI, by the response mode of the request and with its state."""
    target = asked["redirect_uri"]
    if asked.get("state"):
        values = values | {"state": asked["state"]}
    if asked.get("response_mode") == "form_post":
        return render_page(request, "form_post.html", target=target, values=values)
    if asked.get("response_mode") == "fragment":
        return RedirectResponse(f"{target}#{urlencode(values)}", 303)
    return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{urlencode(values)}", 303)


async def _asked(request: Request) -> dict[str, str]:
    """Return the parameters of a GET or POST; OpenID Connect has both for authorization and sign-out."""
    if request.method == "POST":
        return {name: str(value) for name, value in (await request.form()).items()}
    return dict(request.query_params)


def _error_page(request: Request, text: str) -> Response:
    return render_page(request, "message.html", 400, title="Sorry, but we’re having trouble signing you in.", text=text)


ROUTES = [
    Route("/{tenant}/oauth2/v2.0/authorize", authorize, methods=["GET", "POST"]),
    Route("/{tenant}/oauth2/v2.0/pick", pick_account, methods=["POST"]),
    Route("/{tenant}/oauth2/v2.0/logout", logout, methods=["GET", "POST"]),
]
