"""new tickets are sent by lanes, several to a commit; the others keep a job of their own"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("ticket", sa.Column("has_own_job", sa.Boolean(), server_default=sa.false(), nullable=False))
    # Those that wait now were queued with a job each.
    op.execute("UPDATE ticket SET has_own_job = true WHERE delivery = 'queued'")
    op.alter_column("ticket", "has_own_job", server_default=None)
    op.create_index(
        "ix_ticket_lanes",
        "ticket",
        [sa.text("(batch_id IS NOT NULL)"), "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("delivery = 'queued' AND NOT has_own_job"),
    )
    op.create_index(
        "ix_ticket_refused",
        "ticket",
        ["connection_id", "refused_at"],
        unique=False,
        postgresql_where=sa.text("refusal_cause IS NOT NULL"),
    )
    op.add_column("instance_throttle", sa.Column("slot_wanted_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("instance_throttle", "slot_wanted_until")
    op.drop_index("ix_ticket_refused", table_name="ticket")
    op.drop_index("ix_ticket_lanes", table_name="ticket")
    op.drop_column("ticket", "has_own_job")
