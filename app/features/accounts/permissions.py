"""Says what a person may do, from the roles Entra ID reports. Looks nothing up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from app.resources import ProductConfig


@dataclass(frozen=True)
class Permissions:
    """Each includes the ones before it: whoever manages may share, whoever shares may look."""

    may_view: bool
    may_share: bool
    may_manage: bool


@dataclass(frozen=True)
class Viewer:
    """The signed-in person, as far as pages and rooms need to know; `address` is where the browser calls from."""

    person_id: UUID
    oid: str
    tid: str
    display_name: str
    email: str
    may_view: bool
    may_share: bool
    may_manage: bool
    address: str = ""

    @property
    def rights(self) -> str:
        """The most that this person may do, in a word."""
        names = {"manage": self.may_manage, "share": self.may_share, "look": self.may_view}
        return next((name for name, may in names.items() if may), "nothing")


def permissions_of(roles: Iterable[str], config: ProductConfig) -> Permissions:
    """The permissions that these role template ids (`wids`) and app roles (`roles`) give together."""
    held = frozenset(roles)
    manages = bool(held & config.manager_roles)
    shares = manages or bool(held & config.sharer_roles)
    return Permissions(may_view=shares or bool(held & config.viewer_roles), may_share=shares, may_manage=manages)
