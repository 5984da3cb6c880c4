"""Decides whether discovery and the claims of a signed ID token are acceptable. Sends nothing, and checks no signature."""

from __future__ import annotations

import math
from typing import Any

from joserfc import jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError

from app.core import clock
from app.core.logging import get_logger
from app.core.messages import T
from app.integrations.http.errors import InvalidResponse, Unauthorized

log = get_logger(__name__)

# Leeway for clocks that differ; five minutes is what Microsoft's own validators allow.
# https://learn.microsoft.com/dotnet/api/microsoft.identitymodel.tokens.tokenvalidationparameters.defaultclockskew
CLOCKS_MAY_DIFFER_SECONDS = 300
# We redeem a code or refresh token and get a token that was made for it just then; an older one is another one's.
OLDEST_TOKEN_SECONDS = 3600
# The longest lifetime that can be configured for an ID token is a day.
# https://learn.microsoft.com/entra/identity-platform/configurable-token-lifetimes#configurable-token-lifetime-properties
LONGEST_TOKEN_SECONDS = 24 * 3600
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


def not_accepted(why: str) -> Unauthorized:
    """The refusal of an ID token. `why` is for the log; a page must not tell an outsider which check failed."""
    log.warning("entra.id_token.refused", why=why)
    other = T(
        "Microsoft’s answer could not be verified, so no one was signed in. Please sign in again.",
        code="microsoft.not_verified",
    )
    refused = Unauthorized(NOT_ACCEPTED.get(SENTENCE_OF.get(why, why), other))
    refused.why = why
    return refused


def check_issuer(told: str, *, authority: str, tenant_id: str) -> str:
    """The issuer that discovery tells. Raises InvalidResponse for another than the one whose document was asked for."""
    # Believing the document would let whatever answers in its place name itself as the issuer:
    # https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation
    if told.lower() != f"{authority}/{tenant_id}/v2.0".lower():
        log.warning("entra.discovery.other_issuer", issuer=told[:200])
        raise InvalidResponse(
            T(
                "Microsoft’s sign-in service names itself otherwise than it was asked for, so no one can sign in. An operator "
                "checks ENTRA_TENANT_ID, MICROSOFT_CLOUD, and what answers in Microsoft’s place.",
                code="microsoft.other_issuer",
            )
        )
    return told


def check_claims(
    claims: dict[str, Any], *, issuer: str, tenant_id: str, client_id: str, nonce: str | None
) -> dict[str, Any]:
    """The claims, when they are ours, fresh and of this tenant. Raises Unauthorized.

    `nonce` is None for a token that a refresh token brought: the nonce belongs to the sign-in.
    """
    # Every check of https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
    # Tenant IDs are compared in lower case: docs/facts/microsoft-graph.md#2-3-signing-users-in
    told = (str(claims.get("iss") or "").lower(), str(claims.get("tid") or "").lower())
    if told != (issuer.lower(), tenant_id.lower()):
        raise not_accepted("issuer" if told[1] == tenant_id.lower() else "tenant")
    _check_parties(claims, client_id)
    expected: dict[str, Any] = {} if nonce is None else {"nonce": {"essential": True, "value": nonce}}
    registry = jwt.JWTClaimsRegistry(
        now=lambda: int(clock.now().timestamp()),
        leeway=CLOCKS_MAY_DIFFER_SECONDS,
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
        oid={"essential": True},
        **expected,
    )
    try:
        registry.validate(claims)
    except (JoseError, ValueError, OverflowError) as error:
        raise not_accepted(_wrong_claim(error)) from error
    _check_times(claims)
    return claims


def _check_parties(claims: dict[str, Any], client_id: str) -> None:
    # A token made for another application that names us as one audience of several is not ours (steps 3 to 5).
    audiences = claims.get("aud")
    several = isinstance(audiences, list) and len(audiences) > 1
    if ("azp" in claims or several) and claims.get("azp") != client_id:
        raise not_accepted("azp")


def _check_times(claims: dict[str, Any]) -> None:
    now = clock.now().timestamp()
    for name in ("iat", "exp"):
        value = claims[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise not_accepted(name)
    if claims["iat"] < now - OLDEST_TOKEN_SECONDS - CLOCKS_MAY_DIFFER_SECONDS:
        raise not_accepted("iat")
    if claims["exp"] > now + LONGEST_TOKEN_SECONDS + CLOCKS_MAY_DIFFER_SECONDS:
        raise not_accepted("exp")


def _wrong_claim(error: Exception) -> str:
    if isinstance(error, ExpiredTokenError):
        return "expired"
    claim = error.claim if isinstance(error, ClaimError) else ""
    return claim or "claims"
