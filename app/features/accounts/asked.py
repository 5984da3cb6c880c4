"""The one question of a request: whose session it is, what that person may do and wants to see, and how new everything is.

Asked of the database each time, so that a session or role that ended is ended with the next request, in every process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

from app.core.queue_health import ALIVE_SECONDS
from app.core.random_tokens import hash_token
from app.core.shared_question import KeyedQuery
from app.features.accounts.permissions import Viewer, role_of
from app.features.accounts.sessions import is_alive, is_use_due, note_use
from app.integrations.microsoft.schemas import RoleClaims
from app.resources import ProductConfig, Resources


@dataclass(frozen=True)
class Asked:
    """`cards` is the person's own home layout; None for the usual one. `versions` are those of the moment of asking.

    What is read after it may be newer than its version, and is never older. A topic that never changed has none.
    """

    viewer: Viewer
    cards: tuple[str, ...] | None
    versions: Mapping[str, int]
    has_worker: bool


@dataclass(frozen=True)
class Found:
    """A session's row with its person and layout, and what is the same for everyone: fields as the statement selects them."""

    roles: tuple[str, ...]
    cards: tuple[str, ...] | None
    versions: Mapping[str, int]
    has_worker: bool
    role_claims: str
    expires_at: datetime
    last_used_at: datetime
    person_id: UUID
    oid: str
    tid: str
    display_name: str
    email: str


@lru_cache(maxsize=8)
def _versions(told: str | None) -> Mapping[str, int]:
    """``score=3,poll=7`` as a mapping; the same text for everyone between two changes."""
    pairs = (pair.rpartition("=") for pair in (told or "").split(",") if pair)
    return MappingProxyType({topic: int(version) for topic, _, version in pairs})


def _read(row: Sequence[Any]) -> tuple[str, Found]:
    token_hash, roles, cards, versions, *plain = row
    kept = None if cards is None else tuple(cards)
    return token_hash, Found(tuple(roles), kept, _versions(versions), *plain)


# In one statement, so that all of it is of one moment. Whether the session is over is decided with our own clock.
QUESTION = KeyedQuery(
    f"""
    SELECT s.token_hash, s.roles, h.cards,
           (SELECT string_agg(topic || '=' || version, ',' ORDER BY topic) FROM page_version),
           EXISTS (SELECT FROM procrastinate_workers WHERE last_heartbeat > now() - interval '{ALIVE_SECONDS} s'),
           s.role_claims, s.expires_at, s.last_used_at, p.id, p.oid, p.tid, p.display_name, p.email
      FROM web_session s JOIN person p ON p.id = s.person_id LEFT JOIN home_layout h ON h.person_id = p.id
     WHERE s.token_hash = ANY($1)
    """,  # noqa: S608 - a number of ours.
    _read,
)


async def ask(resources: Resources, token: str | None, *, address: str = "", used: bool = True) -> Asked | None:
    """What a request needs to know; None for an unknown, ended or missing session. Raises what the database raises.

    `used`: the person did something, which puts the end after idle time off. A page that refreshes itself does not.
    `address` is the browser's IP address.
    """
    if not token:
        return None
    # Only the hash is stored: a stolen database opens no session.
    # https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html
    token_hash = hash_token(token)
    found = await resources.database.shared_question.ask(QUESTION, token_hash)
    if found is None or not is_alive(resources.config, found.expires_at, found.last_used_at):
        return None
    if used and is_use_due(found.last_used_at):
        async with resources.database.transaction() as session:
            await note_use(session, token_hash, found.last_used_at)
    return Asked(_viewer(found, resources.config, address), found.cards, found.versions, found.has_worker)


def _viewer(found: Found, config: ProductConfig, address: str) -> Viewer:
    # The role is derived at each request, so that a changed *_ROLES setting counts in open sessions as well.
    return Viewer(
        person_id=found.person_id,
        oid=found.oid,
        tid=found.tid,
        display_name=found.display_name,
        email=found.email,
        role=role_of(found.roles, config),
        address=address,
        role_claims=RoleClaims(found.role_claims),
    )
