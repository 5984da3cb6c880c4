"""Reads who signed in from the claims of a verified ID token. Verifies nothing."""

from __future__ import annotations

from typing import Any

from app.integrations.microsoft.schemas import Identity, RoleClaims


def identity_of(claims: dict[str, Any], tenant_id: str, refresh_token: str = "") -> Identity:
    """The person, and the roles that these claims tell.

    https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
    """
    return Identity(
        oid=str(claims["oid"]),
        tid=tenant_id,
        name=str(claims.get("name") or claims.get("preferred_username") or claims["oid"]),
        email=str(claims.get("email") or claims.get("preferred_username") or ""),
        wids=frozenset(role.lower() for role in _strings(claims.get("wids"))),
        roles=_strings(claims.get("roles")),
        sid=str(claims.get("sid") or ""),
        role_claims=_role_claims(claims),
        refresh_token=refresh_token,
    )


def _role_claims(claims: dict[str, Any]) -> RoleClaims:
    # docs/facts/microsoft-graph.md#2-3-signing-users-in
    if "wids" in claims or "roles" in claims:
        return RoleClaims.SENT
    return RoleClaims.OVERAGE if claims.get("_claim_names") or claims.get("hasgroups") else RoleClaims.ABSENT


def _strings(value: object) -> frozenset[str]:
    return frozenset(str(item) for item in value) if isinstance(value, list) else frozenset()
