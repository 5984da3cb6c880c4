"""the pause of an instance is stored once, in instance_throttle, for those who obey it and those who show it"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # Nothing to carry over: a pause that is obeyed is in instance_throttle.paused_until already.
    op.drop_column("connection", "throttled_until")


def downgrade() -> None:
    op.add_column("connection", sa.Column("throttled_until", sa.DateTime(timezone=True), nullable=True))
