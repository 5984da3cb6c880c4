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
from joserfc.jwt import Token

from app.core import clock
from app.core.bounds import LONGEST_ADDRESS, first, line
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
from app.integrations.http.http_types import RemoteResponse, Request, clock_ahead, throttled
from app.integrations.http.transport import Transport
from app.integrations.microsoft.aadsts import TRANSIENT, Purpose, explain, number_of
from app.integrations.microsoft.claims import identity_of
from app.integrations.microsoft.openid_checks import check_claims, check_issuer, not_accepted
from app.integrations.microsoft.schemas import Identity

log = get_logger(__name__)

# How long the discovery document and the keys are cached. A token with an unknown key fetches them again at once.
# https://learn.microsoft.com/entra/identity-platform/signing-key-rollover
DISCOVERY_CACHE_SECONDS = 3600
# How old they may be while they cannot be fetched again: keys stay valid for weeks, and people have to get in.
LONGEST_DISCOVERY_SECONDS = 24 * 3600
# How often tokens with an unknown key may have them fetched again, so that made-up tokens cause no stream of calls.
FETCHED_AGAIN_AFTER_SECONDS = 60
SCOPE = "openid profile email"
# https://learn.microsoft.com/entra/identity-platform/scopes-oidc#the-offline_access-scope
OFFLINE_ACCESS = "offline_access"
# What Entra ID answers when only the person can go on: disabled, sessions revoked, password changed, another factor wanted.
# https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#error-codes-for-token-endpoint-errors
ENDED = frozenset({"invalid_grant", "interaction_required", "login_required", "consent_required"})
# An OAuth error code is short; more of it is no code.
LONGEST_ERROR = 40


class SignInEnded(Unauthorized):
    """Entra ID lets a sign-in go on no longer; its person has to sign in again."""


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
        self,
        transport: Transport,
        *,
        authority: str,
        tenant_id: str,
        client_id: str,
        client_secret: str,
        offline_access: bool = False,
    ) -> None:
        """With `offline_access`, a sign-in brings a refresh token, by which Entra ID can be asked again later."""
        self._transport = transport
        self.authority = authority
        self._tenant_id = tenant_id
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = f"{SCOPE} {OFFLINE_ACCESS}" if offline_access else SCOPE
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
                scope=self._scope,
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
        return await self._identity(token_answer(answer, Purpose.SIGN_IN), nonce)

    async def refresh(self, *, refresh_token: str, oid: str) -> Identity:
        """Who the account `oid` is now, with the roles it has now, and the next refresh token.

        Raises SignInEnded when Entra ID lets the sign-in go on no longer, and another RemoteError when it does not say.
        """
        # https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#refresh-the-access-token
        provider = await self._provider()
        answer = await self._send(
            Request(
                "POST",
                provider.token_endpoint,
                headers={"Accept": "application/json"},
                form={
                    "grant_type": "refresh_token",
                    "refresh_token": refresh_token,
                    "scope": self._scope,
                    "client_id": self._client_id,
                    "client_secret": self._client_secret,
                },
            )
        )
        _raise_if_ended(answer)
        identity = await self._identity(token_answer(answer, Purpose.SIGN_IN), None)
        # https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse
        if identity.oid != oid:
            raise not_accepted("oid")
        return identity

    async def logout_url(self, *, post_logout_redirect_uri: str) -> str:
        """Where the browser goes to sign out of Microsoft as well."""
        # https://openid.net/specs/openid-connect-rpinitiated-1_0.html
        provider = await self._provider()
        return f"{provider.end_session_endpoint}?{urlencode({'post_logout_redirect_uri': post_logout_redirect_uri})}"

    async def ping(self) -> float | None:
        """Fetch the discovery document afresh, as a sign-in would, and raise as a sign-in would.

        Gives by how many seconds Entra ID's clock is ahead of ours; None where the answer names no time.
        """
        sent = clock.now().timestamp()
        answer = await self._answer(self._discovery_url)
        return clock_ahead(answer, sent, clock.now().timestamp())

    async def _identity(self, content: dict[str, Any], nonce: str | None) -> Identity:
        """Who the ID token of this token answer is for. Raises Unauthorized, or InvalidResponse without one."""
        id_token, refresh_token = content.get("id_token"), content.get("refresh_token")
        if not isinstance(id_token, str):
            raise InvalidResponse(T("Microsoft’s answer holds no ID token."))
        token, issuer = await self._signed(id_token)
        claims = check_claims(
            token.claims, issuer=issuer, tenant_id=self._tenant_id, client_id=self._client_id, nonce=nonce
        )
        return identity_of(claims, self._tenant_id, refresh_token if isinstance(refresh_token, str) else "")

    async def _signed(self, id_token: str) -> tuple[Token, str]:
        """The token, signed by a key of Entra ID's, and the issuer it must name. Raises Unauthorized."""
        provider = await self._provider()
        try:
            return jwt.decode(id_token, provider.keys, algorithms=["RS256"]), provider.issuer
        except (JoseError, ValueError) as error:
            # The signing key may have been rolled over since the keys were fetched.
            now = time.monotonic()
            if self._fetched_again is not None and now - self._fetched_again < FETCHED_AGAIN_AFTER_SECONDS:
                raise not_accepted("signature") from error
            self._fetched_again = now
        provider = await self._provider(again=True)
        try:
            return jwt.decode(id_token, provider.keys, algorithms=["RS256"]), provider.issuer
        except (JoseError, ValueError) as error:
            raise not_accepted("signature") from error

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
        document = await self._get(self._discovery_url)
        issuer = check_issuer(_text(document, "issuer"), authority=self.authority, tenant_id=self._tenant_id)
        keys = await self._get(_text(document, "jwks_uri"))
        return _Provider(
            authorization_endpoint=_text(document, "authorization_endpoint"),
            token_endpoint=_text(document, "token_endpoint"),
            end_session_endpoint=_text(document, "end_session_endpoint"),
            issuer=issuer,
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

    @property
    def _discovery_url(self) -> str:
        return f"{self.authority}/{self._tenant_id}/v2.0/.well-known/openid-configuration"

    async def _get(self, url: str) -> dict[str, Any]:
        return (await self._answer(url)).json_object()

    async def _answer(self, url: str) -> RemoteResponse:
        """An answer that is a JSON object and no refusal."""
        answer = await self._send(Request("GET", url, headers={"Accept": "application/json"}))
        if answer.status == 429:
            raise throttled(answer)
        if answer.status >= 500:
            raise _trouble(answer, Purpose.SIGN_IN)
        content = _json_of(answer)
        if answer.status == 200:
            return answer
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


def _raise_if_ended(answer: RemoteResponse) -> None:
    # Exactly these: a wrong client secret or a trouble of Microsoft's says nothing about the person.
    if answer.status not in (400, 401) or not answer.is_json():
        return
    content = answer.json_object()
    number, error = number_of(content), line(content.get("error"), LONGEST_ERROR)
    if error in ENDED and number not in TRANSIENT:
        raise SignInEnded(explain(number, Purpose.SIGN_IN, error=error))


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


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value or len(value) > LONGEST_ADDRESS or not value.isprintable():
        raise InvalidResponse(T("Microsoft’s sign-in service does not say its %(name)s.", name=name))
    return value
