"""each ticket has a sys_id of our own choice, and what ServiceNow failed at or turned away is counted"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The defaults fill the rows that are there; new ones get theirs from the models. Tickets that were shared before have no
# sys_id of ours, and are looked for by their correlation ID as until now. Notes that were delivered before stay so.
COLUMNS: dict[str, tuple[type[sa.Boolean | sa.Integer | sa.Text], str]] = {
    "turned_away": (sa.Boolean, "false"),
    "failures": (sa.Integer, "0"),
    "failure_text": (sa.Text, ""),
    "own_sys_id": (sa.Text, ""),
    "sent_plain": (sa.Boolean, "false"),
    "confirmed": (sa.Boolean, "true"),
}
OUTBOUND = ("turned_away", "failures", "failure_text")
ADDED = {"ticket": (*OUTBOUND, "own_sys_id", "sent_plain"), "ticket_note": (*OUTBOUND, "confirmed")}


def upgrade() -> None:
    for table, columns in ADDED.items():
        for name in columns:
            kind, default = COLUMNS[name]
            op.add_column(table, sa.Column(name, kind(), nullable=False, server_default=default))
            op.alter_column(table, name, server_default=None)
    op.create_table(
        "own_sys_id_rule",
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("connection_id", "kind"),
    )


def downgrade() -> None:
    op.drop_table("own_sys_id_rule")
    for table, columns in ADDED.items():
        for name in columns:
            op.drop_column(table, name)
