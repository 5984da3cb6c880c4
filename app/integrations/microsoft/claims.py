"""Reads who signed in from the claims of a verified ID token. Verifies nothing."""

from __future__ import annotations

from typing import Any

from app.core.bounds import LONGEST_CODE, LONGEST_LABEL, first, identifier, line
from app.integrations.microsoft.openid_checks import not_accepted
from app.integrations.microsoft.schemas import Identity, RoleClaims


def identity_of(claims: dict[str, Any], tenant_id: str, refresh_token: str = "") -> Identity:
    """The person, and the roles that these claims tell. Raises Unauthorized for an object id that is none.

    https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
    """
    # An id is never cut: a part of it could be the id of another person.
    oid = identifier(claims["oid"], LONGEST_CODE)
    if not oid:
        raise not_accepted("oid")
    return Identity(
        oid=oid,
        tid=tenant_id,
        name=_first_line(claims, "name", "preferred_username") or oid,
        email=_first_line(claims, "email", "preferred_username"),
        wids=frozenset(role.lower() for role in _strings(claims.get("wids"))),
        roles=_strings(claims.get("roles")),
        sid=identifier(claims.get("sid")),
        role_claims=_role_claims(claims),
        refresh_token=refresh_token,
    )


def _role_claims(claims: dict[str, Any]) -> RoleClaims:
    # docs/facts/microsoft-graph.md#2-3-signing-users-in
    if "wids" in claims or "roles" in claims:
        return RoleClaims.SENT
    return RoleClaims.OVERAGE if claims.get("_claim_names") or claims.get("hasgroups") else RoleClaims.ABSENT


def _strings(value: object) -> frozenset[str]:
    listed = value if isinstance(value, list) else []
    return frozenset(text for item in first(listed) if (text := identifier(item)))


def _first_line(claims: dict[str, Any], *names: str) -> str:
    """The first of these claims that says something."""
    return next((text for name in names if (text := line(claims.get(name), LONGEST_LABEL))), "")
