"""Login pages: local form, second factor, single sign-on and the local ways around it. Issues no OAuth token."""
# See docs/facts/servicenow.md#1-8-the-integration-user-the-central-contradiction and #1-9-sso-and-ip-filtering

from __future__ import annotations

import secrets
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.page_rendering import render_page
from sandbox.servicenow.browser_session import (
    form_secret,
    instance_of,
    local_path,
    sign_in,
    sign_out,
    signed_in_user,
    start_session,
)
from sandbox.servicenow.credentials import password_fits
from sandbox.servicenow.store import Record

# The user the company's identity provider signs in: the administrator at the desk, not the integration user.
SSO_PERSON = "alex.wilber"


async def begin_login(request: Request) -> Response:
    """Send a signed-out browser to the local form, or to the identity provider when single sign-on is on."""
    # See docs/facts/servicenow.md#sandbox-1
    goto = local_path(request.query_params.get("goto", "/"))
    if instance_of(request).switches.sso:
        return RedirectResponse(f"/sso/sign_in?{urlencode({'goto': goto})}", 302)
    return login_form(request, goto)


async def local_login(request: Request) -> Response:
    """Serve `/login.do`: a local login even under single sign-on, unless local login is disabled."""
    goto = local_path(request.query_params.get("goto", "/"))
    switches = instance_of(request).switches
    if switches.sso and switches.local_login_disabled:
        return RedirectResponse(f"/sso/sign_in?{urlencode({'goto': goto})}", 302)
    return login_form(request, goto)


async def side_door(request: Request) -> Response:
    """Serve `/side_door.do`: a local login for signed-out browsers, "page not found" for signed-in ones."""
    if signed_in_user(request) is not None:
        return render_page(
            request, "message.html", 404, title="Page not found", text="The page you are looking for is not here."
        )
    return login_form(request, local_path(request.query_params.get("goto", "/")))


async def locate_sso(request: Request) -> Response:
    """Serve `/login_locate_sso.do`: ask for a user name and redirect to that user's identity provider."""
    goto = local_path(request.query_params.get("goto", "/"))
    name = request.query_params.get("user_name", "")
    if name:
        return RedirectResponse(f"/sso/sign_in?{urlencode({'goto': goto, 'user_name': name})}", 302)
    return render_page(request, "locate_sso.html", goto=goto)


async def company_sign_in(request: Request) -> Response:
    """The identity provider's page: it offers the user already signed in there and asks for no password."""
    instance = instance_of(request)
    goto = local_path(request.query_params.get("goto", "/"))
    wanted = request.query_params.get("user_name") or SSO_PERSON
    person = instance.user_by_name(wanted) or instance.user_by_name(SSO_PERSON)
    if request.method == "GET":
        return render_page(request, "sso_sign_in.html", goto=goto, person=person)
    chosen = instance.user_by_name(str((await request.form()).get("user_name", "")))
    if chosen is None or chosen["web_service_access_only"] == "true" or chosen["active"] != "true":
        return render_page(
            request, "message.html", 403, title="No account", text="This account has no login on the instance."
        )
    return sign_in(request, chosen, local_path(str((await request.form()).get("goto", "/"))))


async def submit_login(request: Request) -> Response:
    # See docs/facts/servicenow.md#sandbox-6: a user marked web-service-access-only cannot log in.
    instance = instance_of(request)
    sent = {name: str(value) for name, value in (await request.form()).items()}
    goto = local_path(sent.get("goto", "/"))
    user = instance.user_by_name(sent.get("user_name", ""))
    if user is None or not _may_log_in(user, sent.get("user_password", "")):
        return login_form(request, goto, wrong=True)
    if not instance.switches.mfa:
        return sign_in(request, user, goto)
    ticket = secrets.token_urlsafe(32)
    instance.store.put("_second_factor", {"token": ticket, "user": user["sys_id"]})
    return _second_factor(request, ticket, goto)


async def script_login(request: Request) -> Response:
    """Serve `/angular.do` as ServiceNow's own SDK uses it: log in, or learn the session's token for API calls."""
    # https://www.npmjs.com/package/@servicenow/sdk-cli (auth/basic-auth)
    instance = instance_of(request)
    if request.query_params.get("sysparm_type") == "get_user":
        return JSONResponse({"status": "error"}, 401, {"X-UserToken-Response": form_secret(request)})
    sent = {name: str(value) for name, value in (await request.form()).items()}
    user = instance.user_by_name(sent.get("user_name", ""))
    if user is None or not _may_log_in(user, sent.get("user_password", "")):
        return JSONResponse({"status": "error", "message": "User name or password invalid"})
    if instance.switches.mfa:
        return JSONResponse({"status": "mfa_code_required", "message": "Enter the code of your authenticator app"})
    response = JSONResponse({"status": "success"})
    start_session(request, user, response)
    return response


async def verify_second_factor(request: Request) -> Response:
    instance = instance_of(request)
    sent = {name: str(value) for name, value in (await request.form()).items()}
    goto = local_path(sent.get("goto", "/"))
    begun = instance.store.find("_second_factor", token=sent.get("ticket", "-"))
    user = instance.store.get("sys_user", begun["user"]) if begun else None
    if begun is None or user is None:
        return login_form(request, goto, wrong=True)
    # MFA is enforced for local logins from Yokohama: docs/facts/servicenow.md#1-8-the-integration-user-the-central-contradiction
    if not secrets.compare_digest(sent.get("mfa_code", "").strip().encode(), instance.mfa_code.encode()):
        return _second_factor(request, begun["token"], goto, wrong=True)
    instance.store.remove("_second_factor", begun["sys_id"])
    return sign_in(request, user, goto)


async def not_you(request: Request) -> Response:
    # See docs/facts/servicenow.md#sandbox-5: the session ends, the OAuth request is kept.
    query = request.query_params.get("query", "")
    return sign_out(request, f"/oauth_login.do?{urlencode({'goto': f'/oauth_auth.do?{query}'})}")


async def log_out(request: Request) -> Response:
    return sign_out(request, "/login.do")


def login_form(request: Request, goto: str, *, wrong: bool = False) -> Response:
    instance = instance_of(request)
    shows = instance.settings.show_hints
    people = [instance.user_by_name(row["user_name"]) for row in instance.store.rows("sys_user")] if shows else []
    return render_page(
        request, "login.html", 401 if wrong else 200, goto=goto, people=people, wrong=wrong,
        password=instance.settings.password if shows else "",
    )  # fmt: skip


def _second_factor(request: Request, ticket: str, goto: str, *, wrong: bool = False) -> Response:
    instance = instance_of(request)
    hint = instance.mfa_code if instance.settings.show_hints else ""
    return render_page(
        request, "second_factor.html", 401 if wrong else 200, ticket=ticket, goto=goto, wrong=wrong, hint=hint
    )


def _may_log_in(user: Record, password: str) -> bool:
    return user["web_service_access_only"] != "true" and password_fits(user, password)


ROUTES = [
    Route("/oauth_login.do", begin_login),
    Route("/login.do", local_login),
    Route("/login.do", submit_login, methods=["POST"]),
    Route("/angular.do", script_login, methods=["POST"]),
    Route("/validate_multifactor_auth_code.do", verify_second_factor, methods=["POST"]),
    Route("/side_door.do", side_door),
    Route("/login_locate_sso.do", locate_sso),
    Route("/login_with_sso.do", company_sign_in),
    Route("/sso/sign_in", company_sign_in, methods=["GET", "POST"]),
    Route("/oauth_not_you.do", not_you),
    Route("/logout.do", log_out),
]
