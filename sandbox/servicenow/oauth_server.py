"""OAuth authorization server: consent page, token endpoint, revocation. Knows no API scope and signs no JWT."""
# See docs/facts/servicenow.md#1-1-endpoints to #1-5-error-responses-of-oauth-token-do

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

# The same error for nearly every mistake: docs/facts/servicenow.md#1-5-error-responses-of-oauth-token-do and #trap-19
DENIED = {"error_description": "access_denied", "error": "server_error"}


async def authorize(request: Request) -> Response:
    """Show login, then consent. An invalid request gets a page with status 200 and no redirect."""
    # See docs/facts/servicenow.md#sandbox-1 to #sandbox-3 and #1-2-authorization-request
    instance = instance_of(request)
    params = _parse_query(request.url.query)
    client = instance.client(params.get("client_id", ""))
    if client is None:
        return render_page(request, "message.html", 200, title="Invalid client", text="Invalid client_id")
    if params.get("redirect_uri", "") not in client["redirect_url"].split(","):
        return render_page(request, "message.html", 200, title="Invalid redirect", text="Invalid redirect_uri")
    if not params.get("state") and instance.switches.state_required:
        return render_page(
            request, "message.html", 200, title="Missing state", text="Missing State parameter in request."
        )
    if params.get("response_type") != "code":
        return render_page(request, "message.html", 200, title="Invalid request", text="Invalid response_type")
    if instance.switches.pkce_required and params.get("code_challenge_method") != "S256":
        return render_page(
            request, "message.html", 200, title="Invalid request", text="Missing code_challenge in request."
        )
    user = signed_in_user(request)
    if user is None:
        return RedirectResponse(f"/oauth_login.do?{urlencode({'goto': f'/oauth_auth.do?{request.url.query}'})}", 302)
    return render_page(
        request, "consent.html", client=client, user=user, query=request.url.query, ck=form_secret(request)
    )


async def submit_consent(request: Request) -> Response:
    """Handle the consent form: redirect with a code and the unchanged state, or with `error=access_denied`."""
    # See docs/facts/servicenow.md#sandbox-4: the form is refused without its CSRF token `sysparm_ck`.
    instance = instance_of(request)
    form = await request.form()
    user = signed_in_user(request)
    if user is None or not secrets.compare_digest(str(form.get("sysparm_ck", "")), form_secret(request)):
        return render_page(request, "message.html", 403, title="Refused", text="The form is out of date. Start again.")
    params = _parse_query(str(form.get("query", "")))
    client = instance.client(params.get("client_id", ""))
    if client is None or params.get("redirect_uri", "") not in client["redirect_url"].split(","):
        return render_page(request, "message.html", 200, title="Invalid redirect", text="Invalid redirect_uri")
    answer: dict[str, str] = {}
    if form.get("oauth_auth_check_action") == "authorize":
        code = secrets.token_urlsafe(64)
        instance.issue(
            "code", code, user["sys_id"], client["client_id"], int(client["auth_code_lifespan"]),
            redirect_uri=params["redirect_uri"], challenge=params.get("code_challenge", ""),
        )  # fmt: skip
        answer["code"] = code
    else:
        answer["error"] = "access_denied"
    if "state" in params:
        answer["state"] = params["state"]
    glue = "&" if urlsplit(params["redirect_uri"]).query else "?"
    return RedirectResponse(f"{params['redirect_uri']}{glue}{urlencode(answer)}", 302)


async def token(request: Request) -> Response:
    """Token endpoint: `authorization_code` and `refresh_token`; credentials in the body only."""
    # See docs/facts/servicenow.md#1-3-token-request-and-client-authentication and #sandbox-7 to #sandbox-13
    instance = instance_of(request)
    if "json" in request.headers.get("content-type", ""):
        return JSONResponse({"error": "server_error", "error_description": "unspecified error"}, 400)
    form = {name: str(value) for name, value in (await request.form()).items()}
    if request.url.query:
        if instance.switches.refuse_url_parameters:
            return _access_denied(instance, "invalid_request")
        form = {**dict(request.query_params), **form}
    client = instance.client(form.get("client_id", ""))
    if client is None:
        return _access_denied(instance, "invalid_client")
    if not secrets.compare_digest(client["client_secret"].encode(), form.get("client_secret", "").encode()):
        return _access_denied(instance, "invalid_client")
    kind = form.get("grant_type", "")
    if kind in instance.switches.listed("grants_off"):
        return _access_denied(instance, "unsupported_grant_type")
    if kind == "authorization_code":
        return _exchange(instance, client, form)
    if kind == "refresh_token":
        return _refresh(instance, client, form)
    return _access_denied(instance, "unsupported_grant_type")


def _exchange(instance: SandboxInstance, client: Record, form: dict[str, str]) -> Response:
    code = instance.credential("code", form.get("code", ""))
    if code is None:
        return _access_denied(instance)
    instance.store.remove("oauth_credential", code["sys_id"])  # Single use, even when this exchange is refused.
    is_valid = (
        instance.is_live(code)
        and code["client_id"] == client["client_id"]
        and code["redirect_uri"] == form.get("redirect_uri")
        and _verifier_matches(code["challenge"], form.get("code_verifier", ""))
    )
    return _grant(instance, code["user"], client, refreshed=None) if is_valid else _access_denied(instance)


def _refresh(instance: SandboxInstance, client: Record, form: dict[str, str]) -> Response:
    old = instance.credential("refresh", form.get("refresh_token", ""))
    expired = not instance.is_live(old) or instance.switches.refresh_tokens_expired
    if old is None or expired or old["client_id"] != client["client_id"]:
        return _access_denied(instance)
    return _grant(instance, old["user"], client, refreshed=old)


def _grant(instance: SandboxInstance, user_id: str, client: Record, *, refreshed: Record | None) -> Response:
    # See docs/facts/servicenow.md#sandbox-10 to #sandbox-12. #1-5-error-responses-of-oauth-token-do: a user who may not write
    # oauth_credential (snc_read_only), or whose password needs a reset, gets no token.
    user = instance.store.get("sys_user", user_id)
    if user is None or user["active"] != "true" or user["password_needs_reset"] == "true":
        return _access_denied(instance)
    if "snc_read_only" in roles_of(instance, user):
        return _access_denied(instance)
    issued = list(instance.store.find_all("oauth_credential", user=user_id, client_id=client["client_id"]))
    access = _access_token(instance, client, user_id, issued, is_refresh=refreshed is not None)
    refresh = refreshed or _current_refresh_token(instance, client, issued)
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
    instance: SandboxInstance, client: Record, user_id: str, issued: list[Record], *, is_refresh: bool
) -> Record:
    # See docs/facts/servicenow.md#sandbox-12: an unexpired access token is returned again. Only a new grant extends it, a
    # refresh does not (KB0791140).
    live = [row for row in issued if row["kind"] == "access" and instance.is_live(row)]
    seconds = int(client["access_token_lifespan"])
    if not live or not instance.switches.same_token_while_valid:
        return instance.issue("access", secrets.token_urlsafe(64), user_id, client["client_id"], seconds)
    if is_refresh:
        return live[-1]
    return instance.store.put("oauth_credential", live[-1] | {"expires": instance.expires(seconds)})


def _current_refresh_token(instance: SandboxInstance, client: Record, issued: list[Record]) -> Record | None:
    # Every new grant extends the current refresh token: docs/facts/servicenow.md#1-4-token-response (KB0791140).
    kept = [row for row in issued if row["kind"] == "refresh" and instance.is_live(row)]
    if not kept:
        return None
    expires = instance.expires(int(client["refresh_token_lifespan"]))
    return instance.store.put("oauth_credential", kept[-1] | {"expires": expires})


def _seconds_left(instance: SandboxInstance, access: Record) -> int:
    # Rounded down, so a new token of 1800 s says 1799: docs/facts/servicenow.md#1-4-token-response
    until = datetime.strptime(access["expires"], TIME_FORMAT).replace(tzinfo=UTC)
    return max(int((until - instance.store.time()).total_seconds()), 0)


async def revoke(request: Request) -> Response:
    # See docs/facts/servicenow.md#sandbox-14: no authentication is needed; only the given token is revoked.
    instance = instance_of(request)
    value = request.query_params.get("token", "")
    if not value and request.method == "POST":
        value = str((await request.form()).get("token", ""))
    for kind in ("access", "refresh"):
        found = instance.credential(kind, value)
        if found:
            instance.store.put("oauth_credential", found | {"expires": instance.expires(-1)})
    return PlainTextResponse("")


def _parse_query(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


def _verifier_matches(challenge: str, verifier: str) -> bool:
    if not challenge:
        return True
    digest = hashlib.sha256(verifier.encode()).digest()
    return secrets.compare_digest(urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)


def _access_denied(instance: SandboxInstance, rfc: str = "invalid_grant") -> Response:
    # See docs/facts/servicenow.md#1-5-error-responses-of-oauth-token-do: RFC 6749 error names occur on some instances.
    if instance.switches.rfc_token_errors:
        return JSONResponse({"error": rfc}, 401 if rfc == "invalid_client" else 400)
    return JSONResponse(DENIED, 401)
