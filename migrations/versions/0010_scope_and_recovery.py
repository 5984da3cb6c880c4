"""whether a scope is asked for, when a refused renewal is tried again, since when an account consents, and what names the sender"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # False for those that exist: they work without a scope, and a consent that is given again must not change that.
    for table in ("connection", "authorization_attempt"):
        op.add_column(table, sa.Column("sends_scope", sa.Boolean(), nullable=False, server_default=sa.false()))
        op.alter_column(table, "sends_scope", server_default=None)
    op.add_column("connection", sa.Column("renewal_refusals", sa.Integer(), nullable=False, server_default="0"))
    op.alter_column("connection", "renewal_refusals", server_default=None)
    for column in ("status_changed_at", "next_renewal_at", "account_since"):
        op.add_column("connection", sa.Column(column, sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "ticket_preferences", sa.Column("names_sender", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    op.alter_column("ticket_preferences", "names_sender", server_default=None)
    op.execute("UPDATE connection SET account_since = connected_at")
    # Those that an earlier version gave up for good, though no final cause was named, are asked for again.
    op.execute(
        "UPDATE connection SET next_renewal_at = now() WHERE status = 'needs_attention' AND attention->>'code' IN "
        "('oauth.not_renewed', 'oauth.refresh_answer_lost_and_refused', 'connection.token_refused')"
    )


def downgrade() -> None:
    op.drop_column("ticket_preferences", "names_sender")
    for column in ("account_since", "next_renewal_at", "status_changed_at", "renewal_refusals", "sends_scope"):
        op.drop_column("connection", column)
    op.drop_column("authorization_attempt", "sends_scope")
