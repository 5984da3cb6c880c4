"""The instance's consent page and token service, as facts 1.1 to 1.5 describe them. Numbers are the fact sheet's."""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from sandbox.page_rendering import render_page
from sandbox.servicenow.browser_session import form_secret, instance_of, signed_in_user
from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.record_acl import roles_of
from sandbox.servicenow.store import TIME_FORMAT, Record

# 7: one answer for nearly every mistake
DENIED = {"error_description": "access_denied", "error": "server_error"}


async def authorize(request: Request) -> Response:
    """1 to 5: login, then consent, then a code; mistakes get a page and no redirect."""
    instance = instance_of(request)
    asked = _asked(request.url.query)
    client = instance.client(asked.get("client_id", ""))
    if client is None:
        return render_page(request, "message.html", 200, title="Invalid client", text="Invalid client_id")
    if asked.get("redirect_uri", "") not in client["redirect_url"].split(","):
        return render_page(request, "message.html", 200, title="Invalid redirect", text="Invalid redirect_uri")
    if not asked.get("state") and instance.switches.state_required:
        return render_page(
            request, "message.html", 200, title="Missing state", text="Missing State parameter in request."
        )
    if asked.get("response_type") != "code":
        return render_page(request, "message.html", 200, title="Invalid request", text="Invalid response_type")
    if instance.switches.pkce_required and asked.get("code_challenge_method") != "S256":
        return render_page(
            request, "message.html", 200, title="Invalid request", text="Missing code_challenge in request."
        )
    user = signed_in_user(request)
    if user is None:
        return RedirectResponse(f"/oauth_login.do?{urlencode({'goto': f'/oauth_auth.do?{request.url.query}'})}", 302)
    return render_page(
        request, "consent.html", client=client, user=user, query=request.url.query, ck=form_secret(request)
    )


async def decide(request: Request) -> Response:
    """4: the consent form needs its CSRF value; Allow sends a code with the unchanged state."""
    instance = instance_of(request)
    form = await request.form()
    user = signed_in_user(request)
    if user is None or not secrets.compare_digest(str(form.get("sysparm_ck", "")), form_secret(request)):
        return render_page(request, "message.html", 403, title="Refused", text="The form is out of date. Start again.")
    asked = _asked(str(form.get("query", "")))
    client = instance.client(asked.get("client_id", ""))
    if client is None or asked.get("redirect_uri", "") not in client["redirect_url"].split(","):
        return render_page(request, "message.html", 200, title="Invalid redirect", text="Invalid redirect_uri")
    answer: dict[str, str] = {}
    if form.get("oauth_auth_check_action") == "authorize":
        code = secrets.token_urlsafe(64)
        instance.issue(
            "code", code, user["sys_id"], client["client_id"], int(client["auth_code_lifespan"]),
            redirect_uri=asked["redirect_uri"], challenge=asked.get("code_challenge", ""),
        )  # fmt: skip
        answer["code"] = code
    else:
        answer["error"] = "access_denied"
    if "state" in asked:
        answer["state"] = asked["state"]
    glue = "&" if urlsplit(asked["redirect_uri"]).query else "?"
    return RedirectResponse(f"{asked['redirect_uri']}{glue}{urlencode(answer)}", 302)


async def token(request: Request) -> Response:
    """7 to 13: the token service."""
    instance = instance_of(request)
    if "json" in request.headers.get("content-type", ""):
        return JSONResponse({"error": "server_error", "error_description": "unspecified error"}, 400)
    form = {name: str(value) for name, value in (await request.form()).items()}
    if request.url.query:
        if instance.switches.refuse_url_parameters:
            return _denied(instance, "invalid_request")
        form = {**dict(request.query_params), **form}
    client = instance.client(form.get("client_id", ""))
    if client is None:
        return _denied(instance, "invalid_client")
    if not secrets.compare_digest(client["client_secret"].encode(), form.get("client_secret", "").encode()):
        return _denied(instance, "invalid_client")
    kind = form.get("grant_type", "")
    if kind in instance.switches.listed("grants_off"):
        return _denied(instance, "unsupported_grant_type")
    if kind == "authorization_code":
        return _exchange(instance, client, form)
    if kind == "refresh_token":
        return _refresh(instance, client, form)
    return _denied(instance, "unsupported_grant_type")


def _exchange(instance: SandboxInstance, client: Record, form: dict[str, str]) -> Response:
    code = instance.credential("code", form.get("code", ""))
    if code is None:
        return _denied(instance)
    instance.store.remove("oauth_credential", code["sys_id"])  # A code works once, even when it is refused.
    fits = (
        instance.is_live(code)
        and code["client_id"] == client["client_id"]
        and code["redirect_uri"] == form.get("redirect_uri")
        and _verifier_fits(code["challenge"], form.get("code_verifier", ""))
    )
    return _grant(instance, code["user"], client, refreshed=None) if fits else _denied(instance)


def _refresh(instance: SandboxInstance, client: Record, form: dict[str, str]) -> Response:
    old = instance.credential("refresh", form.get("refresh_token", ""))
    expired = not instance.is_live(old) or instance.switches.refresh_tokens_expired
    if old is None or expired or old["client_id"] != client["client_id"]:
        return _denied(instance)
    return _grant(instance, old["user"], client, refreshed=old)


def _grant(instance: SandboxInstance, user_id: str, client: Record, *, refreshed: Record | None) -> Response:
    """10 to 12. A user who may not write oauth_credential, or must set a new password, gets nothing (facts 1.5)."""
    user = instance.store.get("sys_user", user_id)
    if user is None or user["active"] != "true" or user["password_needs_reset"] == "true":
        return _denied(instance)
    if "snc_read_only" in roles_of(instance, user):
        return _denied(instance)
    mine = list(instance.store.find_all("oauth_credential", user=user_id, client_id=client["client_id"]))
    access = _access_token(instance, client, user_id, mine, is_refresh=refreshed is not None)
    refresh = refreshed or _kept_refresh_token(instance, client, mine)
    if refresh is None or (refreshed is not None and instance.switches.refresh_rotates_token):
        if refresh is not None:
            instance.store.remove("oauth_credential", refresh["sys_id"])
        seconds = int(client["refresh_token_lifespan"])
        refresh = instance.issue("refresh", secrets.token_urlsafe(64), user_id, client["client_id"], seconds)
    body: dict[str, str | int] = {
        "access_token": access["token"],
        "refresh_token": refresh["token"],
        "scope": "" if instance.switches.scope_is_empty else "useraccount",
        "token_type": "Bearer",
        "expires_in": _seconds_left(instance, access),
    }
    if refreshed is not None and instance.switches.refresh_omits_token:
        del body["refresh_token"]
    return JSONResponse(body)


def _access_token(
    instance: SandboxInstance, client: Record, user_id: str, mine: list[Record], *, is_refresh: bool
) -> Record:
    """12: the one that lives, unless switched off; a grant anew, other than a refresh, makes it live longer."""
    live = [row for row in mine if row["kind"] == "access" and instance.is_live(row)]
    seconds = int(client["access_token_lifespan"])
    if not live or not instance.switches.same_token_while_valid:
        return instance.issue("access", secrets.token_urlsafe(64), user_id, client["client_id"], seconds)
    if is_refresh:
        return live[-1]
    return instance.store.put("oauth_credential", live[-1] | {"expires": instance.expires(seconds)})


def _kept_refresh_token(instance: SandboxInstance, client: Record, mine: list[Record]) -> Record | None:
    """The current one, which every new grant makes live longer (KB0791140)."""
    kept = [row for row in mine if row["kind"] == "refresh" and instance.is_live(row)]
    if not kept:
        return None
    expires = instance.expires(int(client["refresh_token_lifespan"]))
    return instance.store.put("oauth_credential", kept[-1] | {"expires": expires})


def _seconds_left(instance: SandboxInstance, access: Record) -> int:
    """1799 for a new token of 1800; what is left of one handed out again."""
    until = datetime.strptime(access["expires"], TIME_FORMAT).replace(tzinfo=UTC)
    return max(int((until - instance.store.time()).total_seconds()), 0)


async def revoke(request: Request) -> Response:
    """14: needs no authentication; that one token is over at once."""
    instance = instance_of(request)
    value = request.query_params.get("token", "")
    if not value and request.method == "POST":
        value = str((await request.form()).get("token", ""))
    for kind in ("access", "refresh"):
        found = instance.credential(kind, value)
        if found:
            instance.store.put("oauth_credential", found | {"expires": instance.expires(-1)})
    return PlainTextResponse("")


def _asked(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


def _verifier_fits(challenge: str, verifier: str) -> bool:
    if not challenge:
        return True
    digest = hashlib.sha256(verifier.encode()).digest()
    return secrets.compare_digest(urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)


def _denied(instance: SandboxInstance, rfc: str = "invalid_grant") -> Response:
    """One answer for every mistake (7), or the name the RFC has for it (facts 1.5)."""
    if instance.switches.rfc_token_errors:
        return JSONResponse({"error": rfc}, 401 if rfc == "invalid_client" else 400)
    return JSONResponse(DENIED, 401)
