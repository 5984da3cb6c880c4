"""the audit log is a hash chain, and what is delivered knows the request it was asked for in"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BATCH = 1000
BEGINNING = "0" * 64
ADDED = ("request_id", "person_salt", "person_hash", "previous_hash", "hash")
ENTRY = sa.table(
    "audit_entry",
    sa.column("id", sa.BigInteger()),
    sa.column("at", sa.DateTime(timezone=True)),
    *(sa.column(name, sa.Text()) for name in ("person_name", "person_email", "address", *ADDED)),
    *(sa.column(name, JSONB()) for name in ("action", "facts")),
)
CHECKPOINT = sa.table(
    "audit_checkpoint", *(sa.column(name) for name in ("id", "entries", "last_hash", "removed", "first_previous_hash"))
)
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


def upgrade() -> None:
    for table in ("ticket", "ticket_note"):
        op.add_column(table, sa.Column("request_id", sa.Text(), server_default="", nullable=False))
        op.alter_column(table, "request_id", server_default=None)
    op.create_table(
        "audit_checkpoint",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("last_hash", sa.Text(), nullable=False),
        sa.Column("removed", sa.BigInteger(), nullable=False),
        sa.Column("first_previous_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_checkpoint")),
    )
    for name in ADDED:
        op.add_column("audit_entry", sa.Column(name, sa.Text(), server_default="", nullable=False))
        op.alter_column("audit_entry", name, server_default=None)
    chain(op.get_bind())
    op.create_index(op.f("ix_audit_entry_request_id"), "audit_entry", ["request_id"], unique=False)
    op.create_index(op.f("ix_audit_entry_hash"), "audit_entry", ["hash"], unique=False)
    for statement in ENTRIES_STAY:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER audit_entry_stays ON audit_entry")
    op.execute("DROP FUNCTION audit_entry_stays()")
    op.drop_index(op.f("ix_audit_entry_hash"), table_name="audit_entry")
    op.drop_index(op.f("ix_audit_entry_request_id"), table_name="audit_entry")
    for name in reversed(ADDED):
        op.drop_column("audit_entry", name)
    op.drop_table("audit_checkpoint")
    for table in ("ticket_note", "ticket"):
        op.drop_column(table, "request_id")


def chain(connection: sa.Connection) -> None:
    """Chain the entries of earlier versions in their order, and write the checkpoint."""
    connection.execute(sa.text("LOCK TABLE audit_entry IN EXCLUSIVE MODE"))
    last, count, previous = 0, 0, BEGINNING
    while True:
        found = connection.execute(sa.select(ENTRY).where(ENTRY.c.id > last).order_by(ENTRY.c.id).limit(BATCH)).all()
        changes = []
        for row in found:
            salt = secrets.token_hex(16)
            person = digest(canonical([salt, row.person_name, row.person_email, row.address]))
            at = row.at.astimezone(UTC).isoformat(timespec="microseconds")
            content = {"at": at, "person": person, "action": row.action, "facts": row.facts, "request": ""}
            own = digest(previous.encode() + b"\n" + canonical(content))
            changes.append({"row": row.id, "salt": salt, "person": person, "previous": previous, "own": own})
            previous, last, count = own, row.id, count + 1
        if changes:
            connection.execute(
                sa.update(ENTRY)
                .where(ENTRY.c.id == sa.bindparam("row"))
                .values(
                    person_salt=sa.bindparam("salt"),
                    person_hash=sa.bindparam("person"),
                    previous_hash=sa.bindparam("previous"),
                    hash=sa.bindparam("own"),
                ),
                changes,
            )
        if len(found) < BATCH:
            break
    connection.execute(
        sa.insert(CHECKPOINT).values(id=1, entries=count, last_hash=previous, removed=0, first_previous_hash=BEGINNING)
    )


# As app/features/accounts/audit_chain.py computed them when this migration was written: a migration stays as it is.
def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def canonical(value: object) -> bytes:
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON.
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
