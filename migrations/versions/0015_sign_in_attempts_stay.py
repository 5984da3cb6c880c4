"""a used sign-in attempt stays for its wanted page; a session knows whether Entra ID told roles at all"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("sign_in_attempt", sa.Column("used_at", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("sign_in_attempt", "verifier", nullable=True)
    # Sessions of before end within a week; until then an account without a role is told what it was told before.
    op.add_column("web_session", sa.Column("role_claims", sa.Text(), server_default="sent", nullable=False))
    op.alter_column("web_session", "role_claims", server_default=None)


def downgrade() -> None:
    op.drop_column("web_session", "role_claims")
    op.execute("DELETE FROM sign_in_attempt WHERE verifier IS NULL")
    op.alter_column("sign_in_attempt", "verifier", nullable=False)
    op.drop_column("sign_in_attempt", "used_at")
