"""Token endpoint: client authentication, grants, tokens. Shows no page, knows no API scope, signs no JWT."""
# See docs/facts/servicenow.md#1-3-token-request-and-client-authentication to #1-6-other-grants

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.servicenow.browser_session import instance_of
from sandbox.servicenow.credentials import basic_credentials, user_by_password
from sandbox.servicenow.instance import INTEGRATION_USER, SandboxInstance
from sandbox.servicenow.record_acl import roles_of
from sandbox.servicenow.store import TIME_FORMAT, Record

# The same error for nearly every mistake: docs/facts/servicenow.md#1-5-error-responses-of-oauth-token-do and #trap-19
DENIED = {"error_description": "access_denied", "error": "server_error"}
# What opens everything the user may do, and the scope the connector's client is linked to:
# docs/facts/servicenow.md#1-7-where-it-lives-in-the-product
USER_ACCOUNT = "useraccount"


@dataclass(frozen=True)
class TokenRequest:
    """A token request whose client is known and authenticated."""

    client: Record
    form: dict[str, str]
    has_secret: bool


async def token(request: Request) -> Response:
    """Authenticate the client, then do what its grant asks for."""
    # See docs/facts/servicenow.md#sandbox-7 to #sandbox-13
    instance = instance_of(request)
    if "json" in request.headers.get("content-type", ""):
        return JSONResponse({"error": "server_error", "error_description": "unspecified error"}, 400)
    form = {name: str(value) for name, value in (await request.form()).items()}
    if request.url.query:
        if instance.switches.refuse_url_parameters:
            return _access_denied(instance, "invalid_request")
        form = {**dict(request.query_params), **form}
    asked = _authenticated(request, instance, form)
    if asked is None:
        return _access_denied(instance, "invalid_client")
    kind = form.get("grant_type", "")
    handler = GRANTS.get(kind)
    if handler is None or kind in instance.switches.listed("grants_off"):
        return _access_denied(instance, "unsupported_grant_type")
    if scope_is_refused(instance, form.get("scope", "")):
        return _access_denied(instance, "invalid_scope")
    return handler(instance, asked)


def scope_is_refused(instance: SandboxInstance, asked: str) -> bool:
    """Return whether a scope is asked for that the client record is not linked to, and the instance minds."""
    # A client record is linked to its scopes by hand: docs/facts/servicenow.md#1-7-where-it-lives-in-the-product. An unknown
    # one is named in the instance's log only: docs/facts/servicenow.md#1-5-error-responses-of-oauth-token-do
    switches = instance.switches
    linked = set() if switches.auth_scope_missing else {USER_ACCOUNT}
    return switches.unlinked_scope == "refused" and not set(asked.split()) <= linked


def _authenticated(request: Request, instance: SandboxInstance, form: dict[str, str]) -> TokenRequest | None:
    """Find the client by Basic header or body, and check its secret unless it is a public client."""
    # See docs/facts/servicenow.md#1-3-token-request-and-client-authentication
    pairs = [(form.get("client_id", ""), form.get("client_secret", ""))]
    basic = basic_credentials(request.headers.get("authorization", ""))
    if basic and instance.switches.basic_client_auth:
        # The RFC has both parts form-encoded; clients that send them as they are exist too:
        # https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
        pairs = [basic, (unquote_plus(basic[0]), unquote_plus(basic[1]))]
    for client_id, secret in pairs:
        client = instance.client(client_id)
        if client is None:
            continue
        if instance.switches.public_client:
            return TokenRequest(client, form, bool(secret))
        if secrets.compare_digest(client["client_secret"].encode(), secret.encode()):
            return TokenRequest(client, form, has_secret=True)
    return None


def _exchange(instance: SandboxInstance, asked: TokenRequest) -> Response:
    form, client = asked.form, asked.client
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
    if not is_valid or _proof_is_refused(instance, code, asked):
        return _access_denied(instance)
    if scope_is_refused(instance, code.get("scope", "")):
        return _access_denied(instance, "invalid_scope")
    return _grant(instance, code["user"], client, refreshed=None)


def _proof_is_refused(instance: SandboxInstance, code: Record, asked: TokenRequest) -> bool:
    # See docs/facts/servicenow.md#1-3-token-request-and-client-authentication: a public client proves itself by PKCE. A
    # challenge sent by a client with a secret is undocumented, hence the switch.
    if instance.switches.public_client and not code["challenge"]:
        return True
    return instance.switches.pkce_with_secret_refused and bool(code["challenge"]) and asked.has_secret


def _password(instance: SandboxInstance, asked: TokenRequest) -> Response:
    # See docs/facts/servicenow.md#1-6-other-grants (glide.oauth.inbound.ropc.grant_type.disabled)
    user = user_by_password(instance, asked.form.get("username", ""), asked.form.get("password", ""))
    if user is None or not instance.switches.password_grant:
        return _access_denied(instance)
    return _grant(instance, user["sys_id"], asked.client, refreshed=None)


def _client_credentials(instance: SandboxInstance, asked: TokenRequest) -> Response:
    # See docs/facts/servicenow.md#1-6-other-grants: off by default, and the token is that of the client record's OAuth
    # Application User.
    user = instance.user_by_name(INTEGRATION_USER)
    if user is None or not instance.switches.client_credentials_grant or instance.switches.public_client:
        return _access_denied(instance, "unsupported_grant_type")
    return _grant(instance, user["sys_id"], asked.client, refreshed=None, lasting=False)


def _refresh(instance: SandboxInstance, asked: TokenRequest) -> Response:
    client = asked.client
    old = instance.credential("refresh", asked.form.get("refresh_token", ""))
    expired = not instance.is_live(old) or instance.switches.refresh_tokens_expired
    if old is None or expired or old["client_id"] != client["client_id"]:
        return _access_denied(instance)
    return _grant(instance, old["user"], client, refreshed=old)


GRANTS: dict[str, Callable[[SandboxInstance, TokenRequest], Response]] = {
    "authorization_code": _exchange,
    "refresh_token": _refresh,
    "password": _password,
    "client_credentials": _client_credentials,
}


def _grant(
    instance: SandboxInstance, user_id: str, client: Record, *, refreshed: Record | None, lasting: bool = True
) -> Response:
    """Return tokens for the user: an access token, and a refresh token where the grant is `lasting`."""
    # See docs/facts/servicenow.md#sandbox-10 to #sandbox-12. #1-5-error-responses-of-oauth-token-do: a user who may not write
    # oauth_credential (snc_read_only), or whose password needs a reset, gets no token.
    user = instance.store.get("sys_user", user_id)
    if user is None or user["active"] != "true" or user["password_needs_reset"] == "true":
        return _access_denied(instance)
    if "snc_read_only" in roles_of(instance, user):
        return _access_denied(instance)
    issued = list(instance.store.find_all("oauth_credential", user=user_id, client_id=client["client_id"]))
    access = _access_token(instance, client, user_id, issued, is_refresh=refreshed is not None)
    body: dict[str, str | int] = {
        "access_token": access["token"],
        "scope": "" if instance.switches.scope_is_empty else USER_ACCOUNT,
        "token_type": "Bearer",
        "expires_in": _seconds_left(instance, access),
    }
    if lasting and not (refreshed is not None and instance.switches.refresh_omits_token):
        body["refresh_token"] = _refresh_token(instance, client, user_id, issued, refreshed)["token"]
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


def _refresh_token(
    instance: SandboxInstance, client: Record, user_id: str, issued: list[Record], refreshed: Record | None
) -> Record:
    """Return the refresh token to answer with: the current one, or a new one where there is none or it rotates."""
    current = refreshed or _current_refresh_token(instance, client, issued)
    if current is not None and not (refreshed is not None and instance.switches.refresh_rotates_token):
        return current
    if current is not None:
        instance.store.remove("oauth_credential", current["sys_id"])
    seconds = int(client["refresh_token_lifespan"])
    return instance.issue("refresh", secrets.token_urlsafe(64), user_id, client["client_id"], seconds)


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
