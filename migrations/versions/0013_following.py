"""why a record is not shown is a column, and what the scan of closed tickets needs to remember"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The newest reason in a ticket's history says why its record is not shown. Earlier versions wrote it without a code.
FILL = """
    UPDATE ticket SET absence = coalesce(
        (
            SELECT CASE
                WHEN message ->> 'code' = 'ticket.record_deleted' OR message ->> 'message' LIKE 'Deleted in%' THEN 'deleted'
                WHEN message ->> 'code' = 'ticket.record_hidden' OR message ->> 'message' LIKE '%still in%' THEN 'hidden'
                WHEN message ->> 'code' = 'ticket.record_moved' OR message ->> 'message' LIKE '%was moved%' THEN 'moved'
                ELSE 'not_shown'
            END
            FROM ticket_event WHERE ticket_id = ticket.id AND event_type = 'hidden' ORDER BY id DESC LIMIT 1
        ),
        'not_shown'
    )
    WHERE NOT visible
"""


def upgrade() -> None:
    op.add_column("ticket", sa.Column("absence", sa.Text(), nullable=False, server_default=""))
    op.add_column("ticket", sa.Column("has_marker", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.execute(FILL)
    op.alter_column("ticket", "absence", server_default=None)
    op.alter_column("ticket", "has_marker", server_default=None)
    op.drop_column("ticket", "visible")
    op.create_index("ix_ticket_remote_updated", "ticket", ["connection_id", "kind", "remote_updated_at"])
    op.add_column("poll_cursor", sa.Column("last_closed_scan_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("poll_cursor", "last_closed_scan_at")
    op.drop_index("ix_ticket_remote_updated", table_name="ticket")
    op.add_column("ticket", sa.Column("visible", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.execute("UPDATE ticket SET visible = (absence = '')")
    op.alter_column("ticket", "visible", server_default=None)
    op.drop_column("ticket", "has_marker")
    op.drop_column("ticket", "absence")
