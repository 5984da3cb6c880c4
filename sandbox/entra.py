"""Entra ID sandbox: discovery, keys, account picker, authorization codes with PKCE, app tokens, sign-out."""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.page_rendering import render_page

# Role template IDs of built-in roles are the same in every tenant:
# https://learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference
EVERYONE = "b79fbf4d-3ef9-4689-8143-76b194e85509"
ADMINISTRATOR = "194ae4cb-b126-40b2-bd5b-6091b380977d"
OPERATOR = "5f2222b1-57c3-48ba-8ad5-d4759f1fde6f"
READER = "5d6b6bb7-de71-4623-b4af-96380a352509"
# Entra documents about ten minutes for a code (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow)
# and an hour for a token, of which examples show 3599 s: docs/facts/microsoft-graph.md#2-1-app-only-tokens-for-graph
CODE_SECONDS = 600
TOKEN_SECONDS = 3599


@dataclass(frozen=True)
class EntraAccount:
    """An account of the picker; `can` is the role named beside it."""

    oid: str
    name: str
    email: str
    can: str
    wids: tuple[str, ...]


PEOPLE = (
    EntraAccount(
        "0b7c1c8e-1111-4a6e-9c3e-5d1f0a000001",
        "Alex Wilber",
        "alex@contoso.example",
        "Security Administrator",
        (ADMINISTRATOR,),
    ),
    EntraAccount(
        "0b7c1c8e-2222-4a6e-9c3e-5d1f0a000002", "Megan Bowen", "megan@contoso.example", "Security Operator", (OPERATOR,)
    ),
    EntraAccount("0b7c1c8e-3333-4a6e-9c3e-5d1f0a000003", "Lee Gu", "lee@contoso.example", "Security Reader", (READER,)),
    EntraAccount("0b7c1c8e-4444-4a6e-9c3e-5d1f0a000004", "Nestor Wilke", "nestor@contoso.example", "No role", ()),
)


@dataclass(frozen=True)
class EntraSandbox:
    """Settings of one tenant with one app registration. The caller generates IDs and secret."""

    tenant_id: str
    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...]
    key_file: Path | None = None


@dataclass
class EntraTenant:
    """The running tenant: its signing key and the authorization codes not yet redeemed."""

    settings: EntraSandbox
    key: RSAKey
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def start(cls, settings: EntraSandbox) -> EntraTenant:
        """Load the signing key, or generate one and store it with mode 0600."""
        file = settings.key_file
        if file is not None and file.exists():
            return cls(settings, RSAKey.import_key(file.read_bytes()))
        key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"})
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_bytes(key.as_pem(private=True))
        return cls(settings, key)

    @property
    def kid(self) -> str:
        return self.key.thumbprint()

    def signed(self, claims: dict[str, Any]) -> str:
        """Return a JWT with these claims, plus `iat`, `nbf`, `exp`, `ver` and `tid`."""
        now = int(time.time())
        full = {
            "iat": now,
            "nbf": now,
            "exp": now + TOKEN_SECONDS,
            "ver": "2.0",
            "tid": self.settings.tenant_id,
            **claims,
        }
        return jwt.encode({"alg": "RS256", "kid": self.kid, "typ": "JWT"}, full, self.key)

    def app_of(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a valid, unexpired application token, or None."""
        try:
            claims = jwt.decode(token, self.key, algorithms=["RS256"]).claims
        except Exception:
            return None
        return claims if claims.get("exp", 0) > time.time() and claims.get("idtyp") == "app" else None


def directory_of(request: Request) -> EntraTenant:
    found: EntraTenant = request.app.state.directory
    return found


def origin(request: Request) -> str:
    """Return scheme and host as the caller sees them."""
    return f"{request.url.scheme}://{request.url.netloc}"


def entra_error(number: int, error: str, text: str, status: int = 400) -> JSONResponse:
    """Return an error in Entra's format."""
    # https://learn.microsoft.com/entra/identity-platform/reference-error-codes#handling-error-codes-in-your-application
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return JSONResponse(
        {
            "error": error,
            "error_description": f"AADSTS{number}: {text} Timestamp: {now}",
            "error_codes": [number],
            "timestamp": now,
            "trace_id": secrets.token_hex(16),
            "correlation_id": secrets.token_hex(16),
        },
        status,
    )


async def discovery(request: Request) -> Response:
    if request.path_params["tenant"] != directory_of(request).settings.tenant_id:
        return entra_error(90002, "invalid_tenant", "Tenant not found.")
    base = f"{origin(request)}/{request.path_params['tenant']}"
    return JSONResponse(
        {
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_types_supported": ["code", "id_token", "code id_token"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
        }
    )


async def keys(request: Request) -> Response:
    directory = directory_of(request)
    return JSONResponse({"keys": [{**directory.key.as_dict(private=False), "kid": directory.kid, "use": "sig"}]})


async def authorize(request: Request) -> Response:
    """Show the account picker. An invalid request gets an error page and no redirect."""
    settings = directory_of(request).settings
    asked = dict(request.query_params)
    if asked.get("client_id") != settings.client_id:
        return _sign_in_error(request, "AADSTS700016: Application was not found in the directory.")
    if asked.get("redirect_uri") not in settings.redirect_uris:
        return _sign_in_error(
            request, "AADSTS50011: The redirect URI does not match the redirect URIs configured for the application."
        )
    if asked.get("response_type") != "code" or "openid" not in asked.get("scope", "").split():
        return _sign_in_error(request, "AADSTS70011: The request is not one for a code with the scope openid.")
    # Entra makes PKCE optional for web apps; the sandbox requires it, so that a client that forgets it is noticed.
    if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
        return _sign_in_error(request, "AADSTS9002325: Proof Key for Code Exchange is required.")
    return render_page(request, "pick_account.html", people=PEOPLE, asked=asked)


async def pick_account(request: Request) -> Response:
    """Send the picked account's code back by the response mode of the request."""
    directory = directory_of(request)
    form = {name: str(value) for name, value in (await request.form()).items()}
    person = next((person for person in PEOPLE if person.oid == form.get("oid")), None)
    if person is None or form.get("redirect_uri") not in directory.settings.redirect_uris:
        return _sign_in_error(request, "AADSTS50020: This account cannot be used.")
    code = secrets.token_urlsafe(48)
    directory.codes[code] = {"person": person, "asked": form, "expires": time.time() + CODE_SECONDS}
    answer = {"code": code, "state": form.get("state", ""), "session_state": secrets.token_hex(16)}
    if form.get("response_mode") == "form_post":
        return render_page(request, "form_post.html", target=form["redirect_uri"], values=answer)
    return RedirectResponse(f"{form['redirect_uri']}?{urlencode(answer)}", 303)


async def token(request: Request) -> Response:
    """Token endpoint: `authorization_code` with PKCE, and `client_credentials`."""
    # See docs/facts/microsoft-graph.md#2-1-app-only-tokens-for-graph
    directory = directory_of(request)
    form = {name: str(value) for name, value in (await request.form()).items()}
    client_id, client_secret = _credentials(request, form)
    if client_id != directory.settings.client_id:
        return entra_error(700016, "unauthorized_client", "Application was not found in the directory.")
    if not secrets.compare_digest(client_secret.encode(), directory.settings.client_secret.encode()):
        return entra_error(7000215, "invalid_client", "Invalid client secret provided.", 401)
    if form.get("grant_type") == "client_credentials":
        return _app_token(request, directory, form)
    if form.get("grant_type") == "authorization_code":
        return _user_tokens(request, directory, form)
    return entra_error(70003, "unsupported_grant_type", "The app requested an unsupported grant type.")


def _app_token(request: Request, directory: EntraTenant, form: dict[str, str]) -> Response:
    resource = form.get("scope", "").removesuffix("/.default")
    if not form.get("scope", "").endswith("/.default"):
        return entra_error(1002012, "invalid_scope", "The scope must end in /.default.")
    claims: dict[str, Any] = {
        "iss": _issuer(request, directory), "aud": resource, "appid": directory.settings.client_id, "idtyp": "app",
        "sub": directory.settings.client_id,
    }  # fmt: skip
    granted = sorted(request.app.state.tenant.edge_cases.listed("granted"))
    # Without admin consent the claim is absent: docs/facts/microsoft-graph.md#2-1-app-only-tokens-for-graph
    if granted:
        claims["roles"] = granted
    return JSONResponse({"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "access_token": directory.signed(claims)})


def _user_tokens(request: Request, directory: EntraTenant, form: dict[str, str]) -> Response:
    # Single use: the code is removed even when the exchange is refused below.
    given = directory.codes.pop(form.get("code", ""), None)
    if given is None:
        return entra_error(54005, "invalid_grant", "The code was already redeemed, or never given.")
    asked: dict[str, str] = given["asked"]
    if given["expires"] < time.time():
        return entra_error(70008, "invalid_grant", "The code has expired.")
    if asked.get("redirect_uri") != form.get("redirect_uri"):
        return entra_error(50011, "invalid_grant", "The redirect URI is another one.")
    digest = urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
    if not secrets.compare_digest(digest, asked.get("code_challenge", "")):
        return entra_error(501481, "invalid_grant", "The Code_Verifier does not match the code_challenge.")
    person: EntraAccount = given["person"]
    claims: dict[str, Any] = {
        "iss": _issuer(request, directory), "aud": directory.settings.client_id, "oid": person.oid,
        "sub": hashlib.sha256(person.oid.encode()).hexdigest()[:43], "name": person.name,
        "preferred_username": person.email, "email": person.email, "wids": [*person.wids, EVERYONE],
    }  # fmt: skip
    if asked.get("nonce"):
        claims["nonce"] = asked["nonce"]
    access = directory.signed({**claims, "aud": "00000003-0000-0000-c000-000000000000", "scp": "openid profile email"})
    return JSONResponse(
        {
            "token_type": "Bearer",
            "scope": "openid profile email",
            "expires_in": TOKEN_SECONDS,
            "access_token": access,
            "id_token": directory.signed(claims),
        }
    )


async def logout(request: Request) -> Response:
    """Redirect to the post-logout address at once; the sandbox keeps no sign-in session that could be ended."""
    back = request.query_params.get("post_logout_redirect_uri", "")
    allowed = {"/".join(uri.split("/")[:3]) for uri in directory_of(request).settings.redirect_uris}
    if "/".join(back.split("/")[:3]) in allowed:
        return RedirectResponse(back, 303)
    return render_page(request, "message.html", title="Signed out", text="You signed out of your account.")


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    # Both parts are form-encoded before Base64: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
    if scheme.lower() == "basic":
        name, _, secret = b64decode(value).decode().partition(":")
        return unquote(name), unquote(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


def _issuer(request: Request, directory: EntraTenant) -> str:
    return f"{origin(request)}/{directory.settings.tenant_id}/v2.0"


def _sign_in_error(request: Request, text: str) -> Response:
    return render_page(request, "message.html", 400, title="Sorry, but we’re having trouble signing you in.", text=text)


ROUTES = [
    Route("/{tenant}/v2.0/.well-known/openid-configuration", discovery),
    Route("/{tenant}/discovery/v2.0/keys", keys),
    Route("/{tenant}/oauth2/v2.0/authorize", authorize),
    Route("/{tenant}/oauth2/v2.0/pick", pick_account, methods=["POST"]),
    Route("/{tenant}/oauth2/v2.0/token", token, methods=["POST"]),
    Route("/{tenant}/oauth2/v2.0/logout", logout),
]
