"""Tenant of the Entra ID sandbox: accounts, signing key, codes, refresh tokens, sessions, errors. Serves no address."""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.requests import Request
from starlette.responses import JSONResponse

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
# https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime
REFRESH_SECONDS = 90 * 24 * 3600
# Microsoft Graph's address, and the ID of its application, which is the same in every tenant:
# https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in
GRAPH = "https://graph.microsoft.com"
GRAPH_ID = "00000003-0000-0000-c000-000000000000"


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


@dataclass(frozen=True)
class Given:
    """A code or refresh token: who consented to what, and until when it is good."""

    person: EntraAccount
    asked: dict[str, str]
    expires: float


@dataclass
class EntraTenant:
    """The running tenant: its signing key, codes not yet redeemed, refresh tokens, and browsers signed in."""

    settings: EntraSandbox
    key: RSAKey
    codes: dict[str, Given] = field(default_factory=dict)
    refresh_tokens: dict[str, Given] = field(default_factory=dict)
    sessions: dict[str, EntraAccount] = field(default_factory=dict)

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

    def public_key(self) -> dict[str, Any]:
        """Return the key as the key set shows it, with its certificate (`x5c`) and that one's thumbprint (`x5t`)."""
        # https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-signature
        certificate = _certificate(self.key)
        thumbprint = hashlib.sha1(certificate, usedforsecurity=False).digest()
        return {
            **self.key.as_dict(private=False),
            "kid": self.kid,
            "use": "sig",
            "x5t": urlsafe_b64encode(thumbprint).rstrip(b"=").decode(),
            "x5c": [b64encode(certificate).decode()],
        }

    def person_of(self, session: str) -> EntraAccount | None:
        """Return the account a browser is signed in with, or None."""
        return self.sessions.get(session)

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

    def claims_of(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a valid, unexpired token of this tenant, or None."""
        try:
            claims = jwt.decode(token, self.key, algorithms=["RS256"]).claims
        except Exception:
            return None
        return claims if claims.get("exp", 0) > time.time() else None

    def app_of(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a valid, unexpired application token, or None."""
        claims = self.claims_of(token)
        return claims if claims is not None and claims.get("idtyp") == "app" else None


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


def _certificate(key: RSAKey) -> bytes:
    """Return a self-signed certificate of the key, the same one at every start."""
    private = cast(RSAPrivateKey, key.private_key)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "accounts.accesscontrol.windows.net")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2046, 1, 1, tzinfo=UTC))
    )
    return built.sign(private, SHA256()).public_bytes(Encoding.DER)
