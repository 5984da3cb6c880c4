"""What Microsoft tells us, in our own shapes. Nothing here is sent or parsed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Identity:
    """Who signed in, as the verified ID token says; `wids` are role template ids, `roles` the app's own roles. `sid` names
    the session at Entra ID, for when it ends there; empty where the token does not carry it.
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
    """One page of a list; `warning` is set when a provider failed and the page is only part of the truth (206)."""

    items: list[dict[str, Any]] = field(repr=False)
    warning: str | None
