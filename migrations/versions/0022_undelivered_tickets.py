"""undelivered tickets are counted without reading the delivered ones"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_ticket_undelivered",
        "ticket",
        ["delivery"],
        unique=False,
        postgresql_where=sa.text("delivery IN ('queued', 'held')"),
    )


def downgrade() -> None:
    op.drop_index("ix_ticket_undelivered", table_name="ticket")
