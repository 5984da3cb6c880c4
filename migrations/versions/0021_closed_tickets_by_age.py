"""tickets are found by the moment since which they are in their state, for retention"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_ticket_state_since", "ticket", ["state_since"])


def downgrade() -> None:
    op.drop_index("ix_ticket_state_since", table_name="ticket")
