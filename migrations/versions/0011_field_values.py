"""fixed values of columns, and the type or model of change requests, as an administrator decides them"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

DECIDED = ("field_values", "change_types")


def upgrade() -> None:
    # Nothing was decided before: {} stands for no fixed value, and for a normal change.
    for name in DECIDED:
        empty = sa.Column(name, postgresql.JSONB(), nullable=False, server_default="{}")
        op.add_column("ticket_preferences", empty)
        op.alter_column("ticket_preferences", name, server_default=None)
    op.add_column("ticket", sa.Column("change_type", sa.Text(), nullable=False, server_default=""))
    op.alter_column("ticket", "change_type", server_default=None)


def downgrade() -> None:
    op.drop_column("ticket", "change_type")
    for name in reversed(DECIDED):
        op.drop_column("ticket_preferences", name)
