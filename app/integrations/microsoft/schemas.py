"""Microsoft's answers as typed values. Parses and sends nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class RoleClaims(StrEnum):
    """Whether the ID token told roles; an absent claim is not an empty one: docs/facts/microsoft-graph.md#2-3-signing-users-in.

    `OVERAGE`: none, and the token points elsewhere for groups because the account is in too many.
    """

    SENT = "sent"
    ABSENT = "absent"
    OVERAGE = "overage"


@dataclass(frozen=True)
class Identity:
    """Who signed in, from the verified ID token. `wids` are role template IDs, `roles` app roles.

    `sid` names the session at Entra ID, for front-channel logout; empty where the token does not carry it. `refresh_token` is
    empty unless it was asked for.
    https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
    """

    oid: str
    tid: str
    name: str
    email: str
    wids: frozenset[str]
    roles: frozenset[str]
    sid: str = ""
    role_claims: RoleClaims = RoleClaims.SENT
    refresh_token: str = field(default="", repr=False)


@dataclass(frozen=True)
class GraphPage:
    """One page of a list. `warning` is set on a 206: a provider failed and the page is incomplete.

    Source: docs/facts/microsoft-graph.md#edge-5
    """

    items: list[dict[str, Any]] = field(repr=False)
    warning: str | None
