"""The instance's OAuth pages and token service, as facts 1.1 to 1.5 describe them. Numbers are the fact sheet's."""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from sandbox.pages import page
from sandbox.servicenow.instance import ACCESS_SECONDS, CODE_SECONDS, REFRESH_SECONDS, Instance
from sandbox.servicenow.store import Record

SESSION_COOKIE = "glide_user_session"
# 7: one answer for nearly every mistake
DENIED = {"error_description": "access_denied", "error": "server_error"}


def instance_of(request: Request) -> Instance:
    """The stand-in this request is for."""
    found: Instance = request.app.state.instance
    return found


def browser_user(request: Request) -> Record | None:
    """Who is signed in in this browser."""
    store = instance_of(request).store
    session = store.find("_browser_session", token=request.cookies.get(SESSION_COOKIE, "-"))
    return store.get("sys_user", session["user"]) if session else None


async def authorize(request: Request) -> Response:
    """1 to 5: login, then consent, then a code; mistakes get a page and no redirect."""
    instance = instance_of(request)
    asked = {name: values[0] for name, values in parse_qs(request.url.query).items()}
    client = instance.store.find("oauth_entity", client_id=asked.get("client_id", ""))
    if client is None or client["active"] != "true":
        return page(request, "message.html", 200, title="Invalid client", text="Invalid client_id")
    if asked.get("redirect_uri", "") not in client["redirect_url"].split(","):
        return page(request, "message.html", 200, title="Invalid redirect", text="Invalid redirect_uri")
    if not asked.get("state") and instance.switches.state_required:
        return page(request, "message.html", 200, title="Missing state", text="Missing State parameter in request.")
    if asked.get("response_type") != "code":
        return page(request, "message.html", 200, title="Invalid request", text="Invalid response_type")
    user = browser_user(request)
    if user is None:
        return RedirectResponse(f"/oauth_login.do?{urlencode({'goto': f'/oauth_auth.do?{request.url.query}'})}", 302)
    return page(request, "consent.html", client=client, user=user, query=request.url.query, ck=_ck(request))


async def decide(request: Request) -> Response:
    """4: the consent form needs its CSRF value; Allow sends a code with the unchanged state."""
    instance = instance_of(request)
    form = await request.form()
    user = browser_user(request)
    if user is None or not secrets.compare_digest(str(form.get("sysparm_ck", "")), _ck(request)):
        return page(request, "message.html", 403, title="Refused", text="The form is out of date. Start again.")
    asked = {name: values[0] for name, values in parse_qs(str(form.get("query", ""))).items()}
    client = instance.store.find("oauth_entity", client_id=asked.get("client_id", ""))
    if client is None or asked.get("redirect_uri", "") not in client["redirect_url"].split(","):
        return page(request, "message.html", 200, title="Invalid redirect", text="Invalid redirect_uri")
    answer: dict[str, str] = {}
    if form.get("oauth_auth_check_action") == "authorize":
        code = secrets.token_urlsafe(64)
        instance.issue(
            "code", code, user["sys_id"], client["client_id"], CODE_SECONDS,
            redirect_uri=asked["redirect_uri"], challenge=asked.get("code_challenge", ""),
        )  # fmt: skip
        answer["code"] = code
    else:
        answer["error"] = "access_denied"
    if "state" in asked:
        answer["state"] = asked["state"]
    glue = "&" if urlsplit(asked["redirect_uri"]).query else "?"
    return RedirectResponse(f"{asked['redirect_uri']}{glue}{urlencode(answer)}", 302)


async def login_page(request: Request) -> Response:
    """The instance's own login."""
    instance = instance_of(request)
    people = list(instance.store.rows("sys_user")) if instance.settings.show_hints else []
    return page(
        request, "login.html", goto=request.query_params.get("goto", "/"), people=people,
        password=instance.settings.password if instance.settings.show_hints else "", wrong=False,
    )  # fmt: skip


async def login(request: Request) -> Response:
    """1, 6: a user marked web-service-access-only does not get through."""
    instance = instance_of(request)
    form = await request.form()
    goto = str(form.get("goto", "/"))
    if not goto.startswith("/") or goto.startswith("//"):
        goto = "/"
    user = instance.store.find("sys_user", user_name=str(form.get("user_name", "")))
    good = (
        user is not None
        and user["active"] == "true"
        and user["web_service_access_only"] != "true"
        and secrets.compare_digest(user["user_password"].encode(), str(form.get("user_password", "")).encode())
    )
    if user is None or not good:
        people = list(instance.store.rows("sys_user")) if instance.settings.show_hints else []
        hint = instance.settings.password if instance.settings.show_hints else ""
        return page(request, "login.html", 401, goto=goto, people=people, password=hint, wrong=True)
    token = secrets.token_urlsafe(32)
    instance.store.put("_browser_session", {"token": token, "user": user["sys_id"], "ck": secrets.token_hex(32)})
    response = RedirectResponse(goto, 302)
    response.set_cookie(SESSION_COOKIE, token, httponly=True, samesite="lax")
    return response


async def not_you(request: Request) -> Response:
    """5: end the session and come back to login with the OAuth request kept."""
    store = instance_of(request).store
    session = store.find("_browser_session", token=request.cookies.get(SESSION_COOKIE, "-"))
    if session:
        store.remove("_browser_session", session["sys_id"])
    query = request.query_params.get("query", "")
    response = RedirectResponse(f"/oauth_login.do?{urlencode({'goto': f'/oauth_auth.do?{query}'})}", 302)
    response.delete_cookie(SESSION_COOKIE)
    return response


async def token(request: Request) -> Response:
    """7 to 13: the token service."""
    instance = instance_of(request)
    if "json" in request.headers.get("content-type", ""):
        return JSONResponse({"error": "server_error", "error_description": "unspecified error"}, 400)
    form = {name: str(value) for name, value in (await request.form()).items()}
    if request.url.query:
        if instance.switches.refuse_url_parameters:
            return _denied()
        form = {**dict(request.query_params), **form}
    client = instance.store.find("oauth_entity", client_id=form.get("client_id", ""))
    if client is None or client["active"] != "true":
        return _denied()
    if not secrets.compare_digest(client["client_secret"].encode(), form.get("client_secret", "").encode()):
        return _denied()
    if form.get("grant_type") == "authorization_code":
        return _exchange(instance, client, form)
    if form.get("grant_type") == "refresh_token":
        return _refresh(instance, client, form)
    return _denied()


def _exchange(instance: Instance, client: Record, form: dict[str, str]) -> Response:
    code = instance.credential("code", form.get("code", ""))
    if code is None:
        return _denied()
    instance.store.remove("oauth_credential", code["sys_id"])  # A code works once, even when it is refused.
    fits = (
        instance.is_live(code)
        and code["client_id"] == client["client_id"]
        and code["redirect_uri"] == form.get("redirect_uri")
        and _verifier_fits(code["challenge"], form.get("code_verifier", ""))
    )
    if not fits:
        return _denied()
    return _grant(instance, code["user"], client["client_id"], refreshed=None)


def _refresh(instance: Instance, client: Record, form: dict[str, str]) -> Response:
    old = instance.credential("refresh", form.get("refresh_token", ""))
    if old is None or not instance.is_live(old) or old["client_id"] != client["client_id"]:
        return _denied()
    return _grant(instance, old["user"], client["client_id"], refreshed=old)


def _grant(instance: Instance, user: str, client_id: str, *, refreshed: Record | None) -> Response:
    """10 to 12: the body's fields; one access token at a time; the refresh token stays unless switched."""
    switches, store = instance.switches, instance.store
    mine = [row for row in store.rows("oauth_credential") if row["user"] == user and row["client_id"] == client_id]
    live = [row for row in mine if row["kind"] == "access" and instance.is_live(row)]
    if live and switches.same_token_while_valid:
        access = live[-1]
        if refreshed is None:
            store.put("oauth_credential", access | {"expires": instance.expires(ACCESS_SECONDS)})
    else:
        access = instance.issue("access", secrets.token_urlsafe(64), user, client_id, ACCESS_SECONDS)
    refresh = refreshed
    if refresh is None:
        kept = [row for row in mine if row["kind"] == "refresh" and instance.is_live(row)]
        if kept:
            refresh = store.put("oauth_credential", kept[-1] | {"expires": instance.expires(REFRESH_SECONDS)})
    if refresh is None or (refreshed is not None and switches.refresh_rotates_token):
        if refresh is not None:
            store.remove("oauth_credential", refresh["sys_id"])
        refresh = instance.issue("refresh", secrets.token_urlsafe(64), user, client_id, REFRESH_SECONDS)
    body: dict[str, str | int] = {
        "access_token": access["token"],
        "refresh_token": refresh["token"],
        "scope": "" if switches.scope_is_empty else "useraccount",
        "token_type": "Bearer",
        "expires_in": ACCESS_SECONDS - 1,
    }
    if refreshed is not None and switches.refresh_omits_token:
        del body["refresh_token"]
    return JSONResponse(body)


async def revoke(request: Request) -> Response:
    """14: needs no authentication; that one token is over at once."""
    instance = instance_of(request)
    value = request.query_params.get("token", "")
    for kind in ("access", "refresh"):
        found = instance.credential(kind, value)
        if found:
            instance.store.put("oauth_credential", found | {"expires": instance.expires(-1)})
    return PlainTextResponse("")


def _verifier_fits(challenge: str, verifier: str) -> bool:
    if not challenge:
        return True
    digest = hashlib.sha256(verifier.encode()).digest()
    return secrets.compare_digest(urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)


def _ck(request: Request) -> str:
    session = instance_of(request).store.find("_browser_session", token=request.cookies.get(SESSION_COOKIE, "-"))
    return session["ck"] if session else secrets.token_hex(32)


def _denied() -> Response:
    return JSONResponse(DENIED, 401)
