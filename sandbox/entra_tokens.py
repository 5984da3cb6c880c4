"""Token and userinfo endpoints of the Entra ID sandbox: codes, refresh tokens, application tokens."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.entra import (
    EVERYONE,
    GRAPH,
    GRAPH_ID,
    PEOPLE,
    REFRESH_SECONDS,
    TOKEN_SECONDS,
    EntraAccount,
    EntraTenant,
    Given,
    directory_of,
    entra_error,
    origin,
)

Form = dict[str, str]


async def token(request: Request) -> Response:
    """Authenticate the application, then do what its grant asks for."""
    # See docs/facts/microsoft-graph.md#2-1-app-only-tokens-for-graph
    directory = directory_of(request)
    form = {name: str(value) for name, value in (await request.form()).items()}
    client_id, client_secret = _credentials(request, form)
    if client_id != directory.settings.client_id:
        return entra_error(700016, "unauthorized_client", "Application was not found in the directory.")
    if not client_secret:
        needed = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
        return entra_error(7000218, "invalid_client", needed, 401)
    if not secrets.compare_digest(client_secret.encode(), directory.settings.client_secret.encode()):
        return entra_error(7000215, "invalid_client", "Invalid client secret provided.", 401)
    if request.app.state.tenant.edge_cases.secret_expired:
        return entra_error(7000222, "invalid_client", "The provided client secret keys are expired.", 401)
    handler = GRANTS.get(form.get("grant_type", ""))
    if handler is None:
        return entra_error(70003, "unsupported_grant_type", "The app requested an unsupported grant type.")
    return handler(request, directory, form)


def _app_token(request: Request, directory: EntraTenant, form: Form) -> Response:
    scope = form.get("scope", "")
    if not scope.endswith("/.default"):
        return entra_error(1002012, "invalid_scope", "The scope must end in /.default.")
    resource = scope.removesuffix("/.default")
    # The host root is required: docs/facts/microsoft-graph.md#2-1-app-only-tokens-for-graph
    if resource.startswith((f"{GRAPH}/", f"{origin(request)}/")):
        named = f"The resource principal named {resource} was not found in the tenant."
        return entra_error(500011, "invalid_resource", named)
    claims: dict[str, Any] = {
        "iss": _issuer(request, directory), "aud": resource, "appid": directory.settings.client_id, "idtyp": "app",
        "sub": directory.settings.client_id,
    }  # fmt: skip
    granted = sorted(request.app.state.tenant.edge_cases.listed("granted"))
    # Without admin consent the claim is absent: docs/facts/microsoft-graph.md#2-1-app-only-tokens-for-graph
    if granted:
        claims["roles"] = granted
    return JSONResponse({"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "access_token": directory.signed(claims)})


def _redeem_code(request: Request, directory: EntraTenant, form: Form) -> Response:
    # Single use: the code is removed even when the exchange is refused below.
    given = directory.codes.pop(form.get("code", ""), None)
    if given is None:
        return entra_error(54005, "invalid_grant", "The code was already redeemed, or never given.")
    if given.expires < time.time():
        return entra_error(70008, "invalid_grant", "The code has expired.")
    if given.asked.get("redirect_uri") != form.get("redirect_uri"):
        return entra_error(50011, "invalid_grant", "The redirect URI is another one.")
    if not _verifier_fits(given.asked, form.get("code_verifier", "")):
        return entra_error(501481, "invalid_grant", "The Code_Verifier does not match the code_challenge.")
    return _user_tokens(request, directory, form, given, given.asked.get("scope", ""))


def _refresh(request: Request, directory: EntraTenant, form: Form) -> Response:
    # Refresh tokens are replaced at each use and not revoked: https://learn.microsoft.com/entra/identity-platform/refresh-tokens
    given = directory.refresh_tokens.get(form.get("refresh_token", ""))
    if given is None:
        return entra_error(9002313, "invalid_grant", "Invalid request. Request is malformed or invalid.")
    if given.expires < time.time():
        return entra_error(700082, "invalid_grant", "The refresh token has expired due to inactivity.")
    consented = given.asked.get("scope", "")
    scope = form.get("scope") or consented
    if not set(scope.split()) <= set(consented.split()) | {"openid", "profile", "email", "offline_access"}:
        return entra_error(
            65001, "invalid_grant", "The user or administrator has not consented to use the application."
        )
    # Accounts change after a sign-in, and a refreshed token tells what they are now.
    person = next((one for one in PEOPLE if one.oid == given.person.oid), None)
    if person is None:
        return entra_error(50057, "invalid_grant", "The user account is disabled.")
    # The nonce belongs to the sign-in: https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse
    asked = {name: value for name, value in given.asked.items() if name != "nonce"}
    return _user_tokens(request, directory, form, Given(person, asked, given.expires), scope)


GRANTS: dict[str, Callable[[Request, EntraTenant, Form], Response]] = {
    "client_credentials": _app_token,
    "authorization_code": _redeem_code,
    "refresh_token": _refresh,
}


def _user_tokens(request: Request, directory: EntraTenant, form: Form, given: Given, scope: str) -> Response:
    """Return an access token, an ID token for the scope openid, a refresh token for offline_access."""
    scopes = scope.split()
    told = " ".join(name for name in scopes if name != "offline_access")
    claims = _claims(request, directory, given.person)
    body: dict[str, Any] = {
        "token_type": "Bearer",
        "scope": told,
        "expires_in": TOKEN_SECONDS,
        "ext_expires_in": TOKEN_SECONDS,
        "access_token": directory.signed({**claims, "aud": GRAPH_ID, "scp": told}),
    }
    if "openid" in scopes:
        nonce = {"nonce": given.asked["nonce"]} if given.asked.get("nonce") else {}
        body["id_token"] = directory.signed(claims | nonce)
    if "offline_access" in scopes:
        body["refresh_token"] = secrets.token_urlsafe(96)
        consented = given.asked | {"scope": given.asked.get("scope") or scope}
        lasting = Given(given.person, consented, time.time() + REFRESH_SECONDS)
        directory.refresh_tokens[body["refresh_token"]] = lasting
    # Microsoft's libraries ask for it and name the account by it:
    # https://learn.microsoft.com/entra/msal/python/advanced/msal-python-token-cache-serialization
    if form.get("client_info") == "1":
        known = json.dumps({"uid": given.person.oid, "utid": directory.settings.tenant_id})
        body["client_info"] = _base64(known.encode())
    return JSONResponse(body)


def _claims(request: Request, directory: EntraTenant, person: EntraAccount) -> dict[str, Any]:
    return {
        "iss": _issuer(request, directory), "aud": directory.settings.client_id, "oid": person.oid,
        "sub": hashlib.sha256(person.oid.encode()).hexdigest()[:43], "name": person.name,
        "preferred_username": person.email, "email": person.email, "wids": [*person.wids, EVERYONE],
    }  # fmt: skip


async def userinfo(request: Request) -> Response:
    """Return who an access token with the scope openid belongs to; it is Graph that serves this address."""
    # https://learn.microsoft.com/entra/identity-platform/userinfo
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    claims = directory_of(request).claims_of(given) if scheme.lower() == "bearer" else None
    if claims is None or claims.get("aud") != GRAPH_ID or "openid" not in claims.get("scp", "").split():
        refused = {"code": "InvalidAuthenticationToken", "message": "Access token is empty, expired or not for this."}
        return JSONResponse({"error": refused}, 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    first, _, last = claims["name"].partition(" ")
    known = {"sub": claims["sub"], "name": claims["name"], "given_name": first, "family_name": last}
    return JSONResponse(known | {"email": claims["email"]})


async def device_code(_request: Request) -> Response:
    """Refuse: the registered application is a web app, and the device flow is for public clients."""
    # https://learn.microsoft.com/entra/identity-platform/reference-error-codes (70002)
    wanted = "The provided client is not supported for this feature. It must be marked as 'mobile.'"
    return entra_error(70002, "invalid_client", wanted, 401)


def _credentials(request: Request, form: Form) -> tuple[str, str]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        # Both parts are form-encoded before Base64: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
        return unquote(name), unquote(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


def _verifier_fits(asked: Form, verifier: str) -> bool:
    challenge = asked.get("code_challenge", "")
    if not challenge:
        return not verifier
    if asked.get("code_challenge_method") == "S256":
        verifier = _base64(hashlib.sha256(verifier.encode()).digest())
    return secrets.compare_digest(verifier.encode(), challenge.encode())


def _base64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _issuer(request: Request, directory: EntraTenant) -> str:
    return f"{origin(request)}/{directory.settings.tenant_id}/v2.0"


ROUTES = [
    Route("/{tenant}/oauth2/v2.0/token", token, methods=["POST"]),
    Route("/{tenant}/oauth2/v2.0/devicecode", device_code, methods=["POST"]),
    Route("/oidc/userinfo", userinfo, methods=["GET", "POST"]),
]
