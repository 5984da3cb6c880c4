"""why notes could not be read, and which calls wait for an answer"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    jsonb = postgresql.JSONB(astext_type=sa.Text())
    op.add_column("ticket", sa.Column("journal_problem", jsonb, nullable=True))
    op.add_column("pace", sa.Column("under_way", jsonb, server_default=sa.text("'{}'"), nullable=False))


def downgrade() -> None:
    """Nothing that a person wrote is lost: both columns say how the last calls went."""
    op.drop_column("pace", "under_way")
    op.drop_column("ticket", "journal_problem")
