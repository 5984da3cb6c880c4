"""Tables: people, their sessions and home layouts, sign-in attempts, forms not sent yet, and the audit log with its chain."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DDL, BigInteger, ForeignKey, Identity, UniqueConstraint, event
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Id
from app.core.vault import Sealed, SealedText
from app.integrations.microsoft.schemas import RoleClaims


class Person(Base):
    """A person of the tenant. `oid` is the object id in Entra ID, `tid` the tenant's."""

    # Tenant and object id are the only stable key; names and e-mail addresses change. docs/facts/microsoft-graph.md#edge-54
    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("tid", "oid"),)

    id: Mapped[Id]
    tid: Mapped[str]
    oid: Mapped[str]
    display_name: Mapped[str]
    email: Mapped[str]
    last_signed_in_at: Mapped[datetime]


class WebSession(Base):
    """A signed-in browser. `token_hash` is SHA-256 of its cookie; `sid` is Entra ID's name for the session, or empty.

    `role_claims` says whether the ID token told roles at all (a RoleClaims). A session that was ended keeps its row for a
    while, with `expires_at` in the past and without its refresh token. `address` and `user_agent` are the browser's at the
    sign-in. `roles_checked_at` is when Entra ID last told the roles; without a `refresh_token` it cannot be asked again.
    """

    __tablename__ = "web_session"

    id: Mapped[Id]
    token_hash: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    roles: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    sid: Mapped[str] = mapped_column(default="", index=True)
    role_claims: Mapped[str] = mapped_column(default=RoleClaims.SENT)
    last_used_at: Mapped[datetime]
    address: Mapped[str] = mapped_column(default="")
    user_agent: Mapped[str] = mapped_column(default="")
    refresh_token: Mapped[Sealed | None] = mapped_column(SealedText())
    roles_checked_at: Mapped[datetime | None]


class SignInAttempt(Base):
    """A sign-in that was begun. Usable once, by the browser that began it, until `expires_at`; `verifier` is gone once used.

    The row stays a while longer, so that a late or second answer finds the wanted page, `return_to`.
    """

    __tablename__ = "sign_in_attempt"

    id: Mapped[Id]
    state_hash: Mapped[str] = mapped_column(unique=True)
    browser_hash: Mapped[str]
    nonce: Mapped[str]
    verifier: Mapped[Sealed | None] = mapped_column(SealedText())
    return_to: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class UnsentForm(Base):
    """A form that was posted after its session had ended: kept until `expires_at`, for the browser that sent it.

    `content` seals the fields and where they were sent. `person_id` is who may see them; None until the next person signs
    in with that browser, when the session that ended is not known.
    """

    __tablename__ = "unsent_form"

    id: Mapped[Id]
    browser_hash: Mapped[str] = mapped_column(index=True)
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    route: Mapped[str]
    # The route decides which of our pages is asked with what was typed; the browser, who reads it.
    content: Mapped[Sealed] = mapped_column(SealedText("route", "browser_hash"))
    kept_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class HomeLayout(Base):
    """The names of a person's home cards, in order. Without a row the usual cards are shown."""

    __tablename__ = "home_layout"

    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), primary_key=True)
    cards: Mapped[list[str]]


class AuditEntry(Base):
    """Something a person, or the product itself, did: who, when, what, from where. What was done is never updated.

    `action` is a sentence (Message.to_json), `facts` are names and plain values. `person_name` is empty for the product itself.
    The last four columns are the chain's (audit_chain.py): hexadecimal SHA-256, and the salt of `person_hash`.
    """

    # Retention: KEEP_AUDIT_DAYS (accounts/audit_chain.py). Name and address are copied beside the reference, so that an
    # entry still says who it was after the account is deleted; erasing the person replaces them, and nothing else.

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    person_name: Mapped[str]
    person_email: Mapped[str]
    address: Mapped[str]
    action: Mapped[dict[str, Any]]
    facts: Mapped[dict[str, Any]]
    # Finds the log lines of the request or job; empty for entries of earlier versions and of the command line.
    request_id: Mapped[str] = mapped_column(index=True)
    person_salt: Mapped[str]
    person_hash: Mapped[str]
    previous_hash: Mapped[str]
    hash: Mapped[str] = mapped_column(index=True)


class AuditCheckpoint(Base):
    """Both ends of the audit log's chain, in one row: without it, rows cut off at an end would not be missed.

    `entries` counts all that were ever written and `removed` those that retention has deleted; `last_hash` is the newest
    entry's, and `first_previous_hash` the one that the oldest remaining entry follows.
    """

    __tablename__ = "audit_checkpoint"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entries: Mapped[int] = mapped_column(BigInteger)
    last_hash: Mapped[str]
    removed: Mapped[int] = mapped_column(BigInteger)
    first_previous_hash: Mapped[str]


# Against slips, and against statements injected into ours. The owner of the table can drop a trigger; then the chain tells.
# `security_center.audit` is set by audit_chain.py for one transaction.
ENTRIES_STAY = (
    """
    CREATE FUNCTION audit_entry_stays() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        allowed text := coalesce(current_setting('security_center.audit', true), '');
        of_person text[] := ARRAY['person_name', 'person_email', 'address', 'person_salt'];
    BEGIN
        IF TG_OP = 'DELETE' AND allowed = 'prune' THEN
            RETURN OLD;
        END IF;
        -- The foreign key forgets a person whose row is deleted.
        IF TG_OP = 'UPDATE' AND NEW.person_id IS NULL AND to_jsonb(NEW) - 'person_id' = to_jsonb(OLD) - 'person_id' THEN
            RETURN NEW;
        END IF;
        IF TG_OP = 'UPDATE' AND allowed = 'erase' AND to_jsonb(NEW) - of_person = to_jsonb(OLD) - of_person THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'entries of the audit log are neither changed nor deleted';
    END $$
    """,
    """
    CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_entry_stays()
    """,
)
for _statement in ENTRIES_STAY:
    event.listen(AuditEntry.__table__, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
