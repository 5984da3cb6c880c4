"""Decides what a person may do, from the roles that Entra ID reports. Reads no row and calls nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.core.messages import Message, T
from app.integrations.microsoft.schemas import RoleClaims
from app.resources import ProductConfig


class Role(StrEnum):
    """What a person may do, weakest first: each role includes the ones before it, and compares as greater.

    The value is also the beginning of the setting that lists the role's holders (`sharer` → `SHARER_ROLES`).
    """

    VIEWER = "viewer"
    SHARER = "sharer"
    MANAGER = "manager"

    # A StrEnum compares as text, by which "manager" would come before "viewer".
    def __lt__(self, other: str) -> bool:
        return _rank(self) < _rank(other)

    def __le__(self, other: str) -> bool:
        return _rank(self) <= _rank(other)

    def __gt__(self, other: str) -> bool:
        return _rank(self) > _rank(other)

    def __ge__(self, other: str) -> bool:
        return _rank(self) >= _rank(other)


def _rank(role: str) -> int:
    return list(Role).index(Role(role))


@dataclass(frozen=True)
class RoleTexts:
    """`audit` stands in the audit log's sign-in entries, `summary` in the account menu, `needed` on a refusal."""

    audit: str
    summary: Message
    needed: Message


ROLE_TEXTS = {
    Role.VIEWER: RoleTexts("view", T("May look"), T("Your account has no role here.", code="role.none")),
    Role.SHARER: RoleTexts(
        "share",
        T("May share"),
        T(
            "To share actions as tickets, you need the role Security Operator or Security Administrator.",
            code="role.sharer_needed",
        ),
    ),
    Role.MANAGER: RoleTexts(
        "manage",
        T("May manage and share"),
        T("To change this, you need the role Security Administrator.", code="role.manager_needed"),
    ),
}
NO_ROLE = RoleTexts("nothing", T("No role"), T("Your account has no role here.", code="role.none"))


@dataclass(frozen=True)
class Viewer:
    """The signed-in person. `role` is None without any; `address` is the browser's IP address, for the audit log.

    `role_claims` says whether Entra ID told any roles at the sign-in.
    """

    person_id: UUID
    oid: str
    tid: str
    display_name: str
    email: str
    role: Role | None
    address: str = ""
    role_claims: RoleClaims = RoleClaims.SENT

    def has(self, needed: Role) -> bool:
        """Whether the person's role is this one or a stronger one."""
        return self.role is not None and self.role >= needed

    @property
    def may_view(self) -> bool:
        """Whether pages may be shown at all."""
        return self.has(Role.VIEWER)

    @property
    def may_share(self) -> bool:
        """Whether tickets may be created and changed."""
        return self.has(Role.SHARER)

    @property
    def may_manage(self) -> bool:
        """Whether the connection and its settings may be changed."""
        return self.has(Role.MANAGER)

    @property
    def texts(self) -> RoleTexts:
        """How the person's role is written."""
        return ROLE_TEXTS[self.role] if self.role else NO_ROLE


def role_of(reported: Iterable[str], config: ProductConfig) -> Role | None:
    """The strongest role that these role template ids and app roles give; None when they give none.

    Entra ID reports directory roles in the claim `wids`, app roles in `roles`:
    https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference#use-claims-to-reliably-identify-a-user
    Both are compared with the same settings, because a template id (a GUID) and an app role's value never coincide.
    """
    ids = frozenset(reported)
    return next((role for role in reversed(Role) if ids & config.role_ids.get(role, frozenset())), None)
