"""slots are leases, a lost refresh answer is a column, attention carries its code"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import app.core.database

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# What stored sentences begin with, and the code that a message of this kind carries from now on.
CODES = {
    "The key that sealed the tokens is lost.": "connection.key_lost",
    "ServiceNow refuses even a fresh access token.": "connection.token_refused",
    "The answer with the new token was lost on its way, and": "oauth.refresh_answer_lost_and_refused",
    "ServiceNow no longer renews our access.": "oauth.not_renewed",
    "ServiceNow does not accept the client:": "oauth.invalid_client",
    "ServiceNow has switched off the kind of grant": "oauth.unsupported_grant_type",
    "ServiceNow does not allow this client the kind": "oauth.unauthorized_client",
    "ServiceNow says that this consent is over:": "oauth.invalid_grant",
    "ServiceNow was not authorized: Deny was pressed": "authorization.denied",
}


# What a connected row held while the answer to its last refresh was lost.
ANSWER_LOST = "An answer of ServiceNow with a new token was lost on its way."


def upgrade() -> None:
    op.create_table(
        "call_lease",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("expires_at", app.core.database.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["instance_throttle.connection_id"],
            name=op.f("fk_call_lease_connection_id_instance_throttle"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_lease")),
    )
    # What it held were calls of processes that are stopped during a migration.
    op.drop_column("instance_throttle", "calls_in_flight")
    op.add_column(
        "connection",
        sa.Column("refresh_answer_lost_at", app.core.database.Instant(timezone=True), nullable=True),
    )
    # Until now a connected row's attention was this flag, and not shown. A row without it holds JSON null, not NULL.
    op.execute(
        sa.text(
            "UPDATE connection SET refresh_answer_lost_at = now(), attention = NULL"
            " WHERE status = 'connected' AND starts_with(attention ->> 'message', :beginning)"
        ).bindparams(beginning=ANSWER_LOST)
    )
    for table, column in (("connection", "attention"), ("authorization_attempt", "problem")):
        for beginning, code in CODES.items():
            op.execute(
                sa.text(
                    f"UPDATE {table} SET {column} = jsonb_set({column}, '{{code}}', to_jsonb(CAST(:code AS text)))"  # noqa: S608
                    f" WHERE starts_with({column} ->> 'message', :beginning)"
                ).bindparams(code=code, beginning=beginning)
            )


def downgrade() -> None:
    op.execute(
        sa.text(
            "UPDATE connection SET attention = jsonb_build_object('message', CAST(:message AS text), 'values', '{}'::jsonb)"
            " WHERE status = 'connected' AND refresh_answer_lost_at IS NOT NULL"
        ).bindparams(message=f"{ANSWER_LOST} Nothing else was sent; we will try again.")
    )
    op.drop_column("connection", "refresh_answer_lost_at")
    op.add_column(
        "instance_throttle",
        sa.Column(
            "calls_in_flight",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
    )
    op.drop_table("call_lease")
