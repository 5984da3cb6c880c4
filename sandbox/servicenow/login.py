"""Logging in: the instance's own form, a second factor, single sign-on and the ways round it (facts 1.8, 1.9)."""

from __future__ import annotations

import secrets
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.page_rendering import render_page
from sandbox.servicenow.browser_session import instance_of, local_path, sign_in, sign_out, signed_in_user
from sandbox.servicenow.store import Record

# Who the company's own sign-in page signs in: the person at the desk, not the integration user.
SSO_PERSON = "alex.wilber"


async def start(request: Request) -> Response:
    """Where a signed-out browser is sent (1): the local form, or the company's sign-in page where that is on."""
    goto = local_path(request.query_params.get("goto", "/"))
    if instance_of(request).switches.sso:
        return RedirectResponse(f"/sso/sign_in?{urlencode({'goto': goto})}", 302)
    return form(request, goto)


async def local(request: Request) -> Response:
    """`/login.do` stays a local login under single sign-on, unless that is disabled."""
    goto = local_path(request.query_params.get("goto", "/"))
    switches = instance_of(request).switches
    if switches.sso and switches.local_login_disabled:
        return RedirectResponse(f"/sso/sign_in?{urlencode({'goto': goto})}", 302)
    return form(request, goto)


async def side_door(request: Request) -> Response:
    """`/side_door.do` is a local login for those who are not signed in, and is not there for those who are."""
    if signed_in_user(request) is not None:
        return render_page(
            request, "message.html", 404, title="Page not found", text="The page you are looking for is not here."
        )
    return form(request, local_path(request.query_params.get("goto", "/")))


async def locate(request: Request) -> Response:
    """`/login_locate_sso.do` asks only for a user name, and forwards to that user's sign-in page."""
    goto = local_path(request.query_params.get("goto", "/"))
    name = request.query_params.get("user_name", "")
    if name:
        return RedirectResponse(f"/sso/sign_in?{urlencode({'goto': goto, 'user_name': name})}", 302)
    return render_page(request, "locate_sso.html", goto=goto)


async def company(request: Request) -> Response:
    """The company's sign-in page: it knows the person at the desk and asks for nothing else."""
    instance = instance_of(request)
    goto = local_path(request.query_params.get("goto", "/"))
    wanted = request.query_params.get("user_name") or SSO_PERSON
    person = instance.person(wanted) or instance.person(SSO_PERSON)
    if request.method == "GET":
        return render_page(request, "sso_sign_in.html", goto=goto, person=person)
    chosen = instance.person(str((await request.form()).get("user_name", "")))
    if chosen is None or chosen["web_service_access_only"] == "true" or chosen["active"] != "true":
        return render_page(
            request, "message.html", 403, title="No account", text="This account has no login on the instance."
        )
    return sign_in(request, chosen, local_path(str((await request.form()).get("goto", "/"))))


async def log_in(request: Request) -> Response:
    """1, 6: a user marked web-service-access-only does not get through."""
    instance = instance_of(request)
    sent = {name: str(value) for name, value in (await request.form()).items()}
    goto = local_path(sent.get("goto", "/"))
    user = instance.person(sent.get("user_name", ""))
    if user is None or not _fits(user, sent.get("user_password", "")):
        return form(request, goto, wrong=True)
    if not instance.switches.mfa:
        return sign_in(request, user, goto)
    ticket = secrets.token_urlsafe(32)
    instance.store.put("_second_factor", {"token": ticket, "user": user["sys_id"]})
    return _second_factor(request, ticket, goto)


async def verify(request: Request) -> Response:
    """The second factor's code."""
    instance = instance_of(request)
    sent = {name: str(value) for name, value in (await request.form()).items()}
    goto = local_path(sent.get("goto", "/"))
    begun = instance.store.find("_second_factor", token=sent.get("ticket", "-"))
    user = instance.store.get("sys_user", begun["user"]) if begun else None
    if begun is None or user is None:
        return form(request, goto, wrong=True)
    if not secrets.compare_digest(sent.get("mfa_code", "").strip().encode(), instance.mfa_code.encode()):
        return _second_factor(request, begun["token"], goto, wrong=True)
    instance.store.remove("_second_factor", begun["sys_id"])
    return sign_in(request, user, goto)


async def not_you(request: Request) -> Response:
    """5: end the session and come back to login with the OAuth request kept."""
    query = request.query_params.get("query", "")
    return sign_out(request, f"/oauth_login.do?{urlencode({'goto': f'/oauth_auth.do?{query}'})}")


async def log_out(request: Request) -> Response:
    """`/logout.do`"""
    return sign_out(request, "/login.do")


def form(request: Request, goto: str, *, wrong: bool = False) -> Response:
    """The local login form."""
    instance = instance_of(request)
    shows = instance.settings.show_hints
    people = [instance.person(row["user_name"]) for row in instance.store.rows("sys_user")] if shows else []
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


def _fits(user: Record, password: str) -> bool:
    return (
        user["active"] == "true"
        and user["locked_out"] != "true"
        and user["web_service_access_only"] != "true"
        and secrets.compare_digest(user["user_password"].encode(), password.encode())
    )


ROUTES = [
    Route("/oauth_login.do", start),
    Route("/login.do", local),
    Route("/login.do", log_in, methods=["POST"]),
    Route("/validate_multifactor_auth_code.do", verify, methods=["POST"]),
    Route("/side_door.do", side_door),
    Route("/login_locate_sso.do", locate),
    Route("/login_with_sso.do", company),
    Route("/sso/sign_in", company, methods=["GET", "POST"]),
    Route("/oauth_not_you.do", not_you),
    Route("/logout.do", log_out),
]
