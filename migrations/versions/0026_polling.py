"""a probe after a pause is told from the pause, and an unknown clock from a clock that is right"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("instance_throttle", sa.Column("probe_until", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("instance_throttle", "clock_ahead_seconds", nullable=True)
    # What a create or an answer shows is never 0 to the microsecond.
    op.execute("UPDATE instance_throttle SET clock_ahead_seconds = NULL WHERE clock_ahead_seconds = 0")


def downgrade() -> None:
    op.execute("UPDATE instance_throttle SET clock_ahead_seconds = 0 WHERE clock_ahead_seconds IS NULL")
    op.alter_column("instance_throttle", "clock_ahead_seconds", nullable=False)
    op.drop_column("instance_throttle", "probe_until")
