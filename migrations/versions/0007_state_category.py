"""the category of a state has its own word, and stored sentences that logic needs carry their codes"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Events that say why a record is not visible: the polling compares their codes, so those written before have to have one.
CODES_OF_EVENTS = {
    "The record is still in ServiceNow, but the integration user may no longer see it.%": "ticket.record_hidden",
    "Deleted in ServiceNow: it counts no such record any more.%": "ticket.record_deleted",
    "ServiceNow no longer shows this record to us: it was deleted, or an access rule hides it.%": "ticket.record_not_shown",
    "The record was moved to another table of ServiceNow%": "ticket.record_moved",
}
DUPLICATES = "ServiceNow holds more than one record of this ticket.%"


def upgrade() -> None:
    op.alter_column("state_name", "group", new_column_name="category")
    add_code = sa.text(
        "UPDATE ticket_event SET message = message || jsonb_build_object('code', CAST(:code AS text))"
        " WHERE event_type = 'hidden' AND message->>'message' LIKE :sentence"
    )
    for sentence, code in CODES_OF_EVENTS.items():
        op.execute(add_code.bindparams(code=code, sentence=sentence))
    op.execute(
        sa.text(
            """
            UPDATE ticket SET warnings = (
                SELECT jsonb_agg(
                    CASE WHEN warning->>'message' LIKE :sentence
                    THEN warning || '{"code": "ticket.duplicate_records"}' ELSE warning END
                    ORDER BY place
                )
                FROM jsonb_array_elements(warnings) WITH ORDINALITY AS each(warning, place)
            )
            WHERE jsonb_typeof(warnings) = 'array' AND EXISTS (
                SELECT FROM jsonb_array_elements(warnings) AS each(warning) WHERE warning->>'message' LIKE :sentence
            )
            """
        ).bindparams(sentence=DUPLICATES)
    )


def downgrade() -> None:
    # The codes stay: what reads messages without codes passes over them.
    op.alter_column("state_name", "category", new_column_name="group")
