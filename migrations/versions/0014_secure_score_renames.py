"""actions that are worth no points, controls that Microsoft gave a new id, and days that look like gaps"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # Old rows get their values with the next import, which looks at all stored days.
    op.add_column(
        "improvement_action", sa.Column("not_scored", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("score_snapshot", sa.Column("is_gap", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_table(
        "control_rename",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("old_id", sa.Text(), nullable=False),
        sa.Column("new_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "old_id", "day", name=op.f("pk_control_rename")),
    )


def downgrade() -> None:
    op.drop_table("control_rename")
    op.drop_column("score_snapshot", "is_gap")
    op.drop_column("improvement_action", "not_scored")
