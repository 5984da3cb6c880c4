"""sessions know their last use, their browser and their refresh token; what was typed when a session had ended is kept"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # Sessions of before count as used now, so that no one is signed out by the update itself.
    op.add_column(
        "web_session",
        sa.Column("last_used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.alter_column("web_session", "last_used_at", server_default=None)
    for name in ("address", "user_agent"):
        op.add_column("web_session", sa.Column(name, sa.Text(), server_default="", nullable=False))
        op.alter_column("web_session", name, server_default=None)
    op.add_column("web_session", sa.Column("refresh_token", sa.Text(), nullable=True))
    op.add_column("web_session", sa.Column("roles_checked_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "unsent_form",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("browser_hash", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_unsent_form_person_id_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unsent_form")),
    )
    op.create_index(op.f("ix_unsent_form_browser_hash"), "unsent_form", ["browser_hash"])
    op.create_index(op.f("ix_unsent_form_expires_at"), "unsent_form", ["expires_at"])


def downgrade() -> None:
    op.drop_table("unsent_form")
    for name in ("roles_checked_at", "refresh_token", "user_agent", "address", "last_used_at"):
        op.drop_column("web_session", name)
