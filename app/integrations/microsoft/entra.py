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
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import Token

from app.core import clock
from app.core.bounds import LONGEST_ADDRESS, LONGEST_CODE, LONGEST_LABEL, first, identifier, line
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.integrations.http.errors import (
    Ambiguous,
    Forbidden,
    InvalidResponse,
    RemoteError,
    ServerError,
    Unauthorized,
    Unreachable,
)
from app.integrations.http.http_types import RemoteResponse, Request, throttled
from app.integrations.http.transport import Transport
from app.integrations.microsoft.aadsts import TRANSIENT, Purpose, explain, number_of
from app.integrations.microsoft.schemas import Identity, RoleClaims

log = get_logger(__name__)

# How long the discovery document and the keys are cached. A token with an unknown key fetches them again at once.
# https://learn.microsoft.com/entra/identity-platform/signing-key-rollover
DISCOVERY_CACHE_SECONDS = 3600
# How old they may be while they cannot be fetched again: keys stay valid for weeks, and people have to get in.
LONGEST_DISCOVERY_SECONDS = 24 * 3600
# How often tokens with an unknown key may have them fetched again, so that made-up tokens cause no stream of calls.
FETCHED_AGAIN_AFTER_SECONDS = 60
# Leeway for clocks that differ; five minutes is what Microsoft's own validators allow.
# https://learn.microsoft.com/dotnet/api/microsoft.identitymodel.tokens.tokenvalidationparameters.defaultclockskew
CLOCKS_MAY_DIFFER_SECONDS = 300
SCOPE = "openid profile email"
# An OAuth error code is short; more of it is no code.
LONGEST_ERROR = 40


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
        self._fetched_again: float | None = None

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
        answer = await self._send(
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
        id_token = token_answer(answer, Purpose.SIGN_IN).get("id_token")
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
        token, issuer = await self._signed(id_token)
        claims = token.claims
        # Tenant IDs are compared in lower case: docs/facts/microsoft-graph.md#2-3-signing-users-in
        told = (str(claims.get("iss") or "").lower(), str(claims.get("tid") or "").lower())
        if told != (issuer.lower(), self._tenant_id.lower()):
            raise _not_accepted("issuer" if told[1] == self._tenant_id.lower() else "tenant")
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(clock.now().timestamp()),
            leeway=CLOCKS_MAY_DIFFER_SECONDS,
            aud={"essential": True, "value": self._client_id},
            nonce={"essential": True, "value": nonce},
            exp={"essential": True},
            iat={"essential": True},
            oid={"essential": True},
        )
        try:
            registry.validate(claims)
        except (JoseError, ValueError) as error:
            raise _not_accepted(_wrong_claim(error)) from error
        # An id is never cut: a part of it could be the id of another person.
        oid = identifier(claims["oid"], LONGEST_CODE)
        if not oid:
            raise _not_accepted("oid")
        return Identity(
            oid=oid,
            tid=self._tenant_id,
            name=_first_line(claims, "name", "preferred_username") or oid,
            email=_first_line(claims, "email", "preferred_username"),
            wids=frozenset(role.lower() for role in _strings(claims.get("wids"))),
            roles=_strings(claims.get("roles")),
            sid=identifier(claims.get("sid")),
            role_claims=_role_claims(claims),
        )

    async def _signed(self, id_token: str) -> tuple[Token, str]:
        """The token, signed by a key of Entra ID's, and the issuer it must name. Raises Unauthorized."""
        provider = await self._provider()
        try:
            return jwt.decode(id_token, provider.keys, algorithms=["RS256"]), provider.issuer
        except (JoseError, ValueError) as error:
            # The signing key may have been rolled over since the keys were fetched.
            now = time.monotonic()
            if self._fetched_again is not None and now - self._fetched_again < FETCHED_AGAIN_AFTER_SECONDS:
                raise _not_accepted("signature") from error
            self._fetched_again = now
        provider = await self._provider(again=True)
        try:
            return jwt.decode(id_token, provider.keys, algorithms=["RS256"]), provider.issuer
        except (JoseError, ValueError) as error:
            raise _not_accepted("signature") from error

    async def _provider(self, *, again: bool = False) -> _Provider:
        known = self._known
        age = time.monotonic() - known.fetched if known else 0.0
        if known and not again and age < DISCOVERY_CACHE_SECONDS:
            return known
        try:
            self._known = await self._discover()
        except RemoteError as error:
            if known is None or again or age > LONGEST_DISCOVERY_SECONDS:
                raise
            log.warning("entra.discovery.kept", age_seconds=int(age), error=error.code)
            return known
        return self._known

    async def _discover(self) -> _Provider:
        document = await self._get(f"{self.authority}/{self._tenant_id}/v2.0/.well-known/openid-configuration")
        keys = await self._get(_text(document, "jwks_uri"))
        return _Provider(
            authorization_endpoint=_text(document, "authorization_endpoint"),
            token_endpoint=_text(document, "token_endpoint"),
            end_session_endpoint=_text(document, "end_session_endpoint"),
            issuer=_text(document, "issuer"),
            keys=_key_set(keys.get("keys")),
            fetched=time.monotonic(),
        )

    async def _send(self, request: Request) -> RemoteResponse:
        # The transport's own words promise another try, which is true for jobs: at a sign-in, the person is the one who tries.
        try:
            return await self._transport.send(request)
        except Unreachable as error:
            told = Unreachable(_unreachable(error.why))
            told.why = error.why
            raise told from error
        except Ambiguous as error:
            raise Ambiguous(BROKEN) from error

    async def _get(self, url: str) -> dict[str, Any]:
        answer = await self._send(Request("GET", url, headers={"Accept": "application/json"}))
        if answer.status == 429:
            raise throttled(answer)
        if answer.status >= 500:
            raise _trouble(answer, Purpose.SIGN_IN)
        content = _json_of(answer)
        if answer.status == 200:
            return content
        # A tenant that is not known is refused here with 400: docs/facts/microsoft-graph.md#2-3-signing-users-in
        number = number_of(content)
        if number is None or number in TRANSIENT:
            raise _trouble(answer, Purpose.SIGN_IN)
        raise Forbidden(explain(number, Purpose.SIGN_IN))


WHY_UNREACHABLE = {
    "name": T("its name could not be found"),
    "tls": T("it could not prove that it is itself (TLS)"),
    "proxy": T("the proxy on the way refused the connection"),
    "refused": T("the connection was refused"),
    "slow": T("it did not take the connection in time"),
    "other": T("no connection could be made"),
}
BROKEN = T(
    "The connection to Microsoft broke before an answer came, so you are not signed in. Sign in again.",
    code="microsoft.connection_broken",
)


def _unreachable(why: str) -> Message:
    return T(
        "This server cannot reach Microsoft’s sign-in service: %(why)s. You are not signed in. Try again in a minute; if it "
        "stays so, an operator checks its network, its proxy (HTTPS_PROXY) and its certificates (SSL_CERT_FILE).",
        why=WHY_UNREACHABLE.get(why, WHY_UNREACHABLE["other"]),
        code="microsoft.unreachable",
    )


def token_answer(answer: RemoteResponse, purpose: Purpose) -> dict[str, Any]:
    """The body of a token response. Raises a RemoteError whose message names the AADSTS number and what fixes it.

    Source: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    """
    if answer.status == 429:
        raise throttled(answer)
    if answer.status >= 500:
        raise _trouble(answer, purpose)
    content = _json_of(answer)
    if answer.status == 200:
        return content
    number = number_of(content)
    if number in TRANSIENT or content.get("error") == "temporarily_unavailable":
        raise _trouble(answer, purpose)
    error = line(content.get("error") or answer.status, LONGEST_ERROR)
    message = explain(number, purpose, error=error)
    # Forbidden: what refuses is the registration or a policy. Unauthorized: this code, once.
    raise Unauthorized(message) if error == "invalid_grant" else Forbidden(message)


def _json_of(answer: RemoteResponse) -> dict[str, Any]:
    try:
        return answer.json_object()
    except InvalidResponse as error:
        if answer.is_json():
            raise
        raise InvalidResponse(
            T(
                "Something other than Microsoft’s sign-in service answered (status %(status)s, not JSON). A proxy may stand "
                "in between: an operator lets this server reach Microsoft.",
                status=answer.status,
                code="microsoft.not_microsoft",
            )
        ) from error


def _trouble(answer: RemoteResponse, purpose: Purpose) -> ServerError:
    if purpose == Purpose.APP_TOKEN:
        return ServerError(
            T(
                "Microsoft gave no token just now (status %(status)s), so nothing was read. The next import tries again.",
                status=answer.status,
                code="microsoft.trouble",
            )
        )
    return ServerError(
        T(
            "Microsoft’s sign-in service cannot answer just now (status %(status)s). Try again in a few minutes.",
            status=answer.status,
            code="microsoft.trouble",
        )
    )


NOT_ACCEPTED = {
    "clock": T(
        "Microsoft’s answer is dated more than five minutes from this server’s time, so no one was signed in. An operator "
        "sets the server’s clock.",
        code="microsoft.clock",
    ),
    "tenant": T(
        "Microsoft’s answer is for another tenant, so no one was signed in. Sign in with an account of this organization; if "
        "it is one, an operator checks ENTRA_TENANT_ID.",
        code="microsoft.other_tenant",
    ),
}


# Causes that are told with the sentence of another one.
SENTENCE_OF = {"expired": "clock", "iat": "clock", "nbf": "clock", "issuer": "tenant"}


def _not_accepted(why: str) -> Unauthorized:
    # Which check failed is for the log: a page must not tell an outsider.
    log.warning("entra.id_token.refused", why=why)
    other = T(
        "Microsoft’s answer could not be verified, so no one was signed in. Please sign in again.",
        code="microsoft.not_verified",
    )
    refused = Unauthorized(NOT_ACCEPTED.get(SENTENCE_OF.get(why, why), other))
    refused.why = why
    return refused


def _wrong_claim(error: Exception) -> str:
    if isinstance(error, ExpiredTokenError):
        return "expired"
    claim = error.claim if isinstance(error, ClaimError) else ""
    return claim or "claims"


def _role_claims(claims: dict[str, Any]) -> RoleClaims:
    # docs/facts/microsoft-graph.md#2-3-signing-users-in
    if "wids" in claims or "roles" in claims:
        return RoleClaims.SENT
    return RoleClaims.OVERAGE if claims.get("_claim_names") or claims.get("hasgroups") else RoleClaims.ABSENT


def _key_set(found: object) -> KeySet:
    # One key that cannot be read, of a kind we do not know, must not hide the others.
    keys = []
    for each in first(found if isinstance(found, list) else []):
        try:
            keys += KeySet.import_key_set({"keys": [each]}).keys
        except (JoseError, ValueError, KeyError, TypeError, AttributeError):
            log.info("entra.key.unreadable")
    if not keys:
        raise InvalidResponse(T("Microsoft’s signing keys are not readable."))
    return KeySet(keys)


def _strings(value: object) -> frozenset[str]:
    listed = value if isinstance(value, list) else []
    return frozenset(text for item in first(listed) if (text := identifier(item)))


def _first_line(claims: dict[str, Any], *names: str) -> str:
    """The first of these claims that says something."""
    return next((text for name in names if (text := line(claims.get(name), LONGEST_LABEL))), "")


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value or len(value) > LONGEST_ADDRESS or not value.isprintable():
        raise InvalidResponse(T("Microsoft’s sign-in service does not say its %(name)s.", name=name))
    return value
