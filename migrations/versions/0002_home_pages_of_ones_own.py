"""home pages of one's own, and how far scores are known"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "home_layout",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("cards", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_home_layout_person_id_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_home_layout")),
    )
    # Empty for runs of before: the next import reads all 90 days once.
    op.add_column("import_run", sa.Column("known_until", sa.Date(), nullable=True))


def downgrade() -> None:
    """Everybody sees the usual cards again, and the next import reads what it would read after any other."""
    op.drop_column("import_run", "known_until")
    op.drop_table("home_layout")
