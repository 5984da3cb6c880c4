"""what refused a row is stored in words of its own, so that the sentence about it may change"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The sentences of earlier versions for refusals of one record, and the codes that they have from now on.
CODES_OF_REFUSALS = {
    "ServiceNow refused: %(reason)s": "servicenow.refused",
    "ServiceNow refused without saying why. Check the roles of the integration user.": (
        "servicenow.refused_without_reason"
    ),
    "ServiceNow would not take the request (status %(status)s: %(reason)s).": "servicenow.request_refused",
    "ServiceNow has no such record, or its access rules hide it from the integration user.": "servicenow.no_record",
    "ServiceNow does not show the integration user the work notes of this record.": "servicenow.no_journal",
    "ServiceNow does not show the integration user the field correlation_id, by which we find a ticket again.": (
        "servicenow.correlation_id_hidden"
    ),
    "ServiceNow ignored what we looked for and listed other records.": "servicenow.query_ignored",
    "ServiceNow counts a record with this ticket’s correlation id, and hides it from the integration user.": (
        "servicenow.record_hidden"
    ),
    "ServiceNow shows the integration user no records of this kind (or not their correlation id), so not finding one "
    "proves nothing.": "delivery.not_visible",
}


def upgrade() -> None:
    for table in ("ticket", "ticket_note"):
        op.add_column(table, sa.Column("refusal_cause", sa.Text(), nullable=True))
        op.add_column(table, sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True))
    # A ticket in doubt names the refusal inside its own sentence. The instance's words are the value `reason`.
    fill = sa.text(
        """
        UPDATE ticket SET refused_at = attempted_at,
            refusal_cause = rtrim(concat_ws(' ', CAST(:code AS text), refusal #>> '{values,reason}'))
        FROM (
            SELECT id, CASE WHEN problem ->> 'code' = 'delivery.in_doubt'
                THEN coalesce(problem #> '{values,before}', problem #> '{values,reason}') ELSE problem END AS refusal
            FROM ticket WHERE refusals > 0 AND delivery IN ('held', 'queued')
        ) AS refused
        WHERE refused.id = ticket.id AND refusal ->> 'message' = :sentence
        """
    )
    for sentence, code in CODES_OF_REFUSALS.items():
        op.execute(fill.bindparams(code=code, sentence=sentence))


def downgrade() -> None:
    for table in ("ticket_note", "ticket"):
        op.drop_column(table, "refused_at")
        op.drop_column(table, "refusal_cause")
