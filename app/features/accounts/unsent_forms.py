"""Keeps, sealed and for a short time, what a person sent after the session had ended. Never sends it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.sql import ColumnElement

from app.core import clock
from app.core.database import Session
from app.core.errors import NotFound
from app.core.messages import T
from app.core.random_tokens import hash_token
from app.core.sealed_columns import context_of
from app.core.vault import CannotOpen, Vault
from app.features.accounts.models import UnsentForm
from app.features.accounts.permissions import Viewer

# Longer than a sign-in takes with a second factor (sign_in.ATTEMPT_MINUTES); what is left after it is of no use to a thief.
FORM_MINUTES = 15
# The longest form of ours is a bulk share of 1,000 actions, some 100 KiB.
LARGEST_FORM_BYTES = 256 * 1024
# The newest of one browser, and of one person. A person has a few tabs open, not a stream of them.
MOST_AT_ONCE = 5
# Of all browsers whose person is not known: anyone can send those, so they must not fill the table.
MOST_OF_UNKNOWN = 100
# A field whose name holds one of these words holds a secret. Names as in app/web/pages/connect.py
SECRET_WORDS = ("secret", "password", "token")


class FormGone(NotFound):
    """Nothing is kept under this id for this person in this browser."""

    default = T("What was typed is not kept any longer, or another person typed it. Open the page and type it again.")


@dataclass(frozen=True)
class PostedForm:
    """A form as it was sent: the route's name, the address with its parts, and the fields in their order."""

    route: str
    address: str
    path_values: dict[str, str]
    query: list[tuple[str, str]]
    fields: list[tuple[str, str]]

    def all_of(self, name: str) -> list[str]:
        """The values of a field, in their order."""
        return [value for key, value in self.fields if key == name]

    def one_of(self, name: str) -> str:
        """The first value of a field; empty without one."""
        return next(iter(self.all_of(name)), "")


def is_secret_field(name: str) -> bool:
    """Whether the value of a field of this name is neither kept nor written into a page: the person types it again."""
    return any(word in name.lower() for word in SECRET_WORDS)


def without_secrets(fields: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The fields that may be kept."""
    return [(name, value) for name, value in fields if not is_secret_field(name)]


async def keep_form(
    session: Session, vault: Vault, form: PostedForm, *, browser_token: str, owner: UUID | None
) -> UUID | None:
    """Keep the form for this browser. Returns its id; None when it holds nothing, is too large, or too many are kept.

    `owner` is who sent it, where the session that has ended is known: no other person sees it.
    """
    fields = without_secrets(form.fields)
    content = json.dumps([form.address, form.path_values, form.query, fields])
    if not any(value.strip() for _, value in fields) or len(content) > LARGEST_FORM_BYTES:
        return None
    await forget_old_forms(session)
    if owner is None:
        unknown = select(func.count()).select_from(UnsentForm).where(UnsentForm.person_id.is_(None))
        if (await session.execute(unknown)).scalar_one() >= MOST_OF_UNKNOWN:
            return None
    browser_hash, now = hash_token(browser_token), clock.now()
    row = UnsentForm(
        browser_hash=browser_hash,
        person_id=owner,
        route=form.route,
        kept_at=now,
        expires_at=now + timedelta(minutes=FORM_MINUTES),
    )
    row.content = vault.seal(context_of(row, UnsentForm.content), content)
    session.add(row)
    await session.flush()
    await _keep_newest(session, UnsentForm.browser_hash == browser_hash)
    if owner is not None:
        await _keep_newest(session, UnsentForm.person_id == owner)
    return row.id


async def find_form(
    session: Session, vault: Vault, viewer: Viewer, form_id: UUID, browser_token: str | None
) -> PostedForm:
    """The kept form, for the person who sent it or else the first who signs in, in this browser alone. Raises FormGone."""
    found = await session.execute(
        select(UnsentForm)
        .where(
            UnsentForm.id == form_id,
            UnsentForm.browser_hash == hash_token(browser_token or ""),
            UnsentForm.expires_at > clock.now(),
            or_(UnsentForm.person_id.is_(None), UnsentForm.person_id == viewer.person_id),
        )
        .with_for_update()
    )
    row = found.scalar_one_or_none()
    if row is None:
        raise FormGone
    row.person_id = viewer.person_id
    await session.flush()
    content = _open(vault, row)
    if content is None:
        raise FormGone
    address, path_values, query, fields = content
    pairs = [[(str(name), str(value)) for name, value in part] for part in (query, fields)]
    return PostedForm(row.route, address, path_values, *pairs)


async def claim_forms(session: Session, person_id: UUID, browser_token: str | None) -> None:
    """This person signs in with this browser: what it sent while no one was known is theirs from now on."""
    if browser_token:
        unknown = UnsentForm.browser_hash == hash_token(browser_token), UnsentForm.person_id.is_(None)
        await session.execute(update(UnsentForm).where(*unknown).values(person_id=person_id))


async def forget_sent(session: Session, route: str, browser_token: str) -> None:
    """The browser sends a form of this route now: what was kept of it is shown no more."""
    sent = UnsentForm.browser_hash == hash_token(browser_token), UnsentForm.route == route
    await session.execute(delete(UnsentForm).where(*sent))


async def forget_old_forms(session: Session) -> None:
    """Delete what was kept for its time."""
    await session.execute(delete(UnsentForm).where(UnsentForm.expires_at <= clock.now()))


async def _keep_newest(session: Session, mine: ColumnElement[bool]) -> None:
    newest = select(UnsentForm.id).where(mine).order_by(UnsentForm.kept_at.desc(), UnsentForm.id)
    older = (await session.execute(newest.offset(MOST_AT_ONCE))).scalars().all()
    await session.execute(delete(UnsentForm).where(UnsentForm.id.in_(older)))


def _open(vault: Vault, row: UnsentForm) -> Any:  # noqa: ANN401 - JSON; its shape is in keep_form.
    try:
        return json.loads(vault.open(context_of(row, UnsentForm.content), row.content))
    except CannotOpen:
        return None
