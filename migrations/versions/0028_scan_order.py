"""a poll reads what is due off indexes, and no table of tickets as a whole"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0028"
down_revision: str | None = "0027"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

IN_ORDER: list[str | sa.TextClause | sa.ColumnElement[object]] = [
    "connection_id",
    "kind",
    "state",
    sa.text("verified_at NULLS FIRST"),
    "id",
]


def upgrade() -> None:
    op.create_index("ix_ticket_scan", "ticket", [*IN_ORDER, "state_since"], postgresql_where=sa.text("sys_id <> ''"))
    op.create_index(
        "ix_ticket_without_marker",
        "ticket",
        IN_ORDER,
        postgresql_where=sa.text("sys_id <> '' AND NOT has_marker AND absence = ''"),
    )
    op.create_index("ix_ticket_shared", "ticket", ["connection_id", "kind", "shared_at"])


def downgrade() -> None:
    op.drop_index("ix_ticket_shared", table_name="ticket")
    op.drop_index("ix_ticket_without_marker", table_name="ticket")
    op.drop_index("ix_ticket_scan", table_name="ticket")
