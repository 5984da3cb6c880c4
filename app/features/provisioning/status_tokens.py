"""Read-only tokens for the connector's state, for a widget in ServiceNow: signed, revocable, and shown once."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func, or_, select

from app.core import clock
from app.core.database import Session
from app.core.errors import Conflict, NotFound
from app.core.messages import T
from app.core.sealed_columns import context_of
from app.core.vault import CannotOpen, Vault
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.provisioning.models import StatusToken

# Names the kind of token and its version, so that secret scanners and a later format can tell it.
PREFIX = "scs1"
# As many as fit on a page that a person reads before revoking one.
MOST_TOKENS = 20
KEY_BYTES = 32
# A UUID in hexadecimal digits.
NUMBER_DIGITS = 32
LONGEST_TOKEN_NAME = 80


@dataclass(frozen=True)
class TokenLine:
    """One token as pages show it, without the token itself."""

    id: UUID
    name: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    used_at: datetime | None


async def make_token(session: Session, vault: Vault, viewer: Viewer, name: str) -> str:
    """A new token, `scs1.<id>.<HMAC-SHA256 of the id>`, signed with a key of its own. The token is kept nowhere.

    Raises Conflict when MOST_TOKENS are in use.
    """
    live = select(func.count()).select_from(StatusToken).where(StatusToken.revoked_at.is_(None))
    if (await session.execute(live)).scalar_one() >= MOST_TOKENS:
        raise Conflict(
            T("There are %(most)s tokens in use. Revoke one that is not needed, then make another.", most=MOST_TOKENS)
        )
    key, number = secrets.token_hex(KEY_BYTES), uuid4()
    row = StatusToken(
        id=number,
        name=" ".join(name.split())[:LONGEST_TOKEN_NAME] or "ServiceNow",
        created_at=clock.now(),
        created_by=viewer.display_name,
    )
    row.key = vault.seal(context_of(row, StatusToken.key), key)
    session.add(row)
    await session.flush()
    await log_action(session, viewer, T("Status token made"), name=name)
    return f"{PREFIX}.{number.hex}.{_signature(key, number)}"


async def revoke_token(session: Session, viewer: Viewer, number: UUID) -> None:
    """Make the token invalid from now on. Raises NotFound."""
    row = await session.get(StatusToken, number)
    if row is None:
        raise NotFound
    if row.revoked_at is None:
        row.revoked_at = clock.now()
        await log_action(session, viewer, T("Status token revoked"), name=row.name)


async def list_tokens(session: Session) -> list[TokenLine]:
    """Every token in use, and the newest MOST_TOKENS revoked ones; the newest first."""
    revoked = (
        select(StatusToken.id)
        .where(StatusToken.revoked_at.is_not(None))
        .order_by(StatusToken.revoked_at.desc())
        .limit(MOST_TOKENS)
    )
    rows = await session.execute(
        select(StatusToken)
        .where(or_(StatusToken.revoked_at.is_(None), StatusToken.id.in_(revoked)))
        .order_by(StatusToken.created_at.desc())
    )
    return [
        TokenLine(row.id, row.name, row.created_at, row.created_by, row.revoked_at, row.used_at)
        for row in rows.scalars()
    ]


async def is_valid(session: Session, vault: Vault, token: str) -> bool:
    """Whether this token was signed by us and is not revoked; notes its use."""
    prefix, _, rest = token.partition(".")
    number, _, signature = rest.partition(".")
    if prefix != PREFIX or len(number) != NUMBER_DIGITS or not signature.isascii():
        return False
    try:
        row = await session.get(StatusToken, UUID(hex=number))
        if row is None or row.revoked_at is not None:
            return False
        key = vault.open(context_of(row, StatusToken.key), row.key)
    except (ValueError, CannotOpen):
        return False
    # In constant time, so that a signature cannot be guessed digit by digit.
    if not hmac.compare_digest(_signature(key, row.id), signature):
        return False
    row.used_at = clock.now()
    return True


def _signature(key: str, number: UUID) -> str:
    return hmac.new(bytes.fromhex(key), f"{PREFIX}:{number}".encode(), hashlib.sha256).hexdigest()
