"""work notes are delivered by the same state machine as tickets"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # The default fills the rows that are there; new ones get theirs from the model.
    op.add_column("ticket_note", sa.Column("force_retry", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("ticket_note", "force_retry", server_default=None)
    op.add_column("ticket_note", sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("ticket_note", sa.Column("in_flight_since", sa.DateTime(timezone=True), nullable=True))
    # The circuit breaker looks behind this sentence for the cause, and knows it by its code from now on.
    op.execute(
        "UPDATE ticket SET problem = jsonb_set(problem, '{code}', '\"delivery.in_doubt\"')"
        " WHERE starts_with(problem ->> 'message', 'We cannot tell whether this ticket arrived.')"
    )


def downgrade() -> None:
    for column in ("in_flight_since", "attempted_at", "force_retry"):
        op.drop_column("ticket_note", column)
