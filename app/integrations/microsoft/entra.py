"""OpenID Connect with one tenant of Entra ID. Accepts only tokens that are signed, meant for us, and fresh."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.core import clock
from app.core.messages import T
from app.integrations.http.errors import Forbidden, InvalidResponse, ServerError, Unauthorized
from app.integrations.http.http_types import RemoteResponse, Request, throttled
from app.integrations.http.transport import Transport
from app.integrations.microsoft.schemas import Identity

# How long the discovery document and the keys are cached. A token with an unknown key fetches them again at once.
# https://learn.microsoft.com/entra/identity-platform/signing-key-rollover
DISCOVERY_CACHE_SECONDS = 3600
# Leeway for clocks that differ, in seconds.
CLOCKS_MAY_DIFFER_SECONDS = 120
SCOPE = "openid profile email"


def new_secret() -> str:
    """A random value for state, nonce or a PKCE verifier (64 letters and digits)."""
    return str(generate_token(64))


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier: https://www.rfc-editor.org/rfc/rfc7636#section-4.2"""
    return str(create_s256_code_challenge(verifier))


@dataclass(frozen=True)
class _Provider:
    authorization_endpoint: str
    token_endpoint: str
    end_session_endpoint: str
    issuer: str
    keys: KeySet
    fetched: float


class EntraClient:
    """One app registration in one tenant; accounts of other tenants are refused."""

    def __init__(
        self, transport: Transport, *, authority: str, tenant_id: str, client_id: str, client_secret: str
    ) -> None:
        self._transport = transport
        self.authority = authority
        self._tenant_id = tenant_id
        self._client_id = client_id
        self._client_secret = client_secret
        self._known: _Provider | None = None

    async def authorize_url(self, *, redirect_uri: str, state: str, nonce: str, code_challenge: str) -> str:
        # https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
        provider = await self._provider()
        return str(
            prepare_grant_uri(
                provider.authorization_endpoint,
                client_id=self._client_id,
                response_type="code",
                redirect_uri=redirect_uri,
                scope=SCOPE,
                state=state,
                nonce=nonce,
                response_mode="query",
                code_challenge=code_challenge,
                code_challenge_method="S256",
            )
        )

    async def redeem(self, *, code: str, redirect_uri: str, code_verifier: str, nonce: str) -> Identity:
        """Exchange the code. Raises Unauthorized when the code or the token is refused."""
        provider = await self._provider()
        answer = await self._transport.send(
            Request(
                "POST",
                provider.token_endpoint,
                headers={"Accept": "application/json"},
                form={
                    "grant_type": "authorization_code",
                    "code": code,
                    "redirect_uri": redirect_uri,
                    "code_verifier": code_verifier,
                    "client_id": self._client_id,
                    "client_secret": self._client_secret,
                },
            )
        )
        id_token = token_answer(answer).get("id_token")
        if not isinstance(id_token, str):
            raise InvalidResponse(T("Microsoft’s answer holds no ID token."))
        return await self._verified(id_token, nonce)

    async def logout_url(self, *, post_logout_redirect_uri: str) -> str:
        """Where the browser goes to sign out of Microsoft as well."""
        # https://openid.net/specs/openid-connect-rpinitiated-1_0.html
        provider = await self._provider()
        return f"{provider.end_session_endpoint}?{urlencode({'post_logout_redirect_uri': post_logout_redirect_uri})}"

    async def _verified(self, id_token: str, nonce: str) -> Identity:
        # Every check of https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
        provider = await self._provider()
        try:
            token = jwt.decode(id_token, provider.keys, algorithms=["RS256"])
        except (JoseError, ValueError):
            # The signing key may have been rolled over since the keys were fetched.
            provider = await self._provider(afresh=True)
            try:
                token = jwt.decode(id_token, provider.keys, algorithms=["RS256"])
            except (JoseError, ValueError) as error:
                raise _not_accepted() from error
        claims = token.claims
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(clock.now().timestamp()),
            leeway=CLOCKS_MAY_DIFFER_SECONDS,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": self._client_id},
            nonce={"essential": True, "value": nonce},
            exp={"essential": True},
            iat={"essential": True},
            oid={"essential": True},
            tid={"essential": True, "value": self._tenant_id},
        )
        try:
            registry.validate(claims)
        except (JoseError, ValueError) as error:
            raise _not_accepted() from error
        return Identity(
            oid=str(claims["oid"]),
            tid=str(claims["tid"]),
            name=str(claims.get("name") or claims.get("preferred_username") or claims["oid"]),
            email=str(claims.get("email") or claims.get("preferred_username") or ""),
            wids=_strings(claims.get("wids")),
            roles=_strings(claims.get("roles")),
            sid=str(claims.get("sid") or ""),
        )

    async def _provider(self, *, afresh: bool = False) -> _Provider:
        known = self._known
        if known and not afresh and time.monotonic() - known.fetched < DISCOVERY_CACHE_SECONDS:
            return known
        document = await self._get(f"{self.authority}/{self._tenant_id}/v2.0/.well-known/openid-configuration")
        keys = await self._get(_text(document, "jwks_uri"))
        try:
            key_set = KeySet.import_key_set({"keys": list(keys["keys"])})
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise InvalidResponse(T("Microsoft’s signing keys are not readable.")) from error
        self._known = _Provider(
            authorization_endpoint=_text(document, "authorization_endpoint"),
            token_endpoint=_text(document, "token_endpoint"),
            end_session_endpoint=_text(document, "end_session_endpoint"),
            issuer=_text(document, "issuer"),
            keys=key_set,
            fetched=time.monotonic(),
        )
        return self._known

    async def _get(self, url: str) -> dict[str, Any]:
        answer = await self._transport.send(Request("GET", url, headers={"Accept": "application/json"}))
        if answer.status == 429:
            raise throttled(answer)
        if answer.status != 200:
            raise ServerError(T("Microsoft’s sign-in service answered with status %(status)s.", status=answer.status))
        return answer.json_object()


def token_answer(answer: RemoteResponse) -> dict[str, Any]:
    """The body of a token response. Raises Unauthorized or Forbidden with the AADSTS number.

    Source: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    """
    if answer.status == 429:
        raise throttled(answer)
    if answer.status >= 500:
        raise ServerError
    content = answer.json_object()
    if answer.status == 200:
        return content
    codes = content.get("error_codes")
    number = f"AADSTS{codes[0]}" if isinstance(codes, list) and codes else str(content.get("error") or answer.status)
    if content.get("error") == "invalid_client":
        raise Forbidden(
            T(
                "Microsoft refuses this application’s credentials (%(number)s). The client secret may have expired: "
                "an operator makes a new one and sets ENTRA_CLIENT_SECRET.",
                number=number,
            )
        )
    raise Unauthorized(T("Microsoft did not complete the sign-in (%(number)s). Please sign in again.", number=number))


def _not_accepted() -> Unauthorized:
    return Unauthorized(T("Microsoft’s answer could not be verified, so nobody was signed in. Please sign in again."))


def _strings(value: object) -> frozenset[str]:
    return frozenset(str(item) for item in value) if isinstance(value, list) else frozenset()


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidResponse(T("Microsoft’s sign-in service does not say its %(name)s.", name=name))
    return value
