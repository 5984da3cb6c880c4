"""Microsoft's answers as typed values. Parses and sends nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Identity:
    """Who signed in, from the verified ID token. `wids` are role template IDs, `roles` app roles.

    `sid` names the session at Entra ID, for front-channel logout; empty where the token does not carry it.
    https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
    """

    oid: str
    tid: str
    name: str
    email: str
    wids: frozenset[str]
    roles: frozenset[str]
    sid: str = ""


@dataclass(frozen=True)
class GraphPage:
    """One page of a list. `warning` is set on a 206: a provider failed and the page is incomplete.

    Source: docs/facts/microsoft-graph.md#edge-5
    """

    items: list[dict[str, Any]] = field(repr=False)
    warning: str | None
