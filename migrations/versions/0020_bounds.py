"""why a job failed is kept; texts from ServiceNow and Microsoft that were stored without a bound are cut"""

# ruff: noqa: S608 - the names in these statements are constants of this file.
from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As app/core/bounds.py and the modules that parse cut them from now on.
LENGTHS = {
    "ticket": {"number": 40, "state": 40, "state_label": 255, "remote_priority": 40, "assigned_to": 255},
    "connection": {
        "user_name": 255, "user_display_name": 255, "user_email": 255, "release_family": 40, "release_build": 255,
        "scope": 255,
    },
    "state_choice": {"label": 255},
    "improvement_action": {
        "title": 500, "service": 255, "category_raw": 255, "action_type": 255, "state": 255, "state_by": 255,
        "state_comment": 4000, "remediation": 65536, "remediation_impact": 65536, "description": 65536,
        "implementation_status": 65536,
    },
}  # fmt: skip
# Parts of an address or of an id lead elsewhere, so these are emptied.
ADDRESSES = (("improvement_action", "action_url", 2000),)
# Sentences with values that came from outside.
SENTENCES = (
    ("ticket", "problem"),
    ("ticket_note", "problem"),
    ("ticket_event", "message"),
    ("connection", "attention"),
    ("poll_cursor", "problem"),
    ("import_run", "problem"),
)
LISTS = (("ticket", "warnings"), ("ticket", "differences"), ("ticket", "journal"))
LONGEST_VALUE = 1000
LONGEST_ENTRY = 20000
NUMBERS = (("improvement_action", "max_points"), ("improvement_action", "points"))
LARGEST_POINTS = 1_000_000


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE procrastinate_job_reasons (
            job_id bigint PRIMARY KEY REFERENCES procrastinate_jobs ON DELETE CASCADE,
            reason jsonb NOT NULL
        )
        """
    )
    for table, columns in LENGTHS.items():
        for column, longest in columns.items():
            op.execute(
                f"UPDATE {table} SET {column} = left({column}, {longest - 1}) || '…' WHERE length({column}) > {longest}"
            )
    for table, column, longest in ADDRESSES:
        op.execute(f"UPDATE {table} SET {column} = '' WHERE length({column}) > {longest}")
    for table, column in NUMBERS:
        op.execute(f"UPDATE {table} SET {column} = NULL WHERE {column} > {LARGEST_POINTS} OR {column} = 'NaN'")
    for table, column in SENTENCES:
        op.execute(
            f"""
            UPDATE {table} SET {column} = jsonb_set({column}, '{{values}}', (
              SELECT coalesce(jsonb_object_agg(key, CASE WHEN length(value::text) > {LONGEST_VALUE}
                       THEN to_jsonb(left(value #>> '{{}}', {LONGEST_VALUE - 1}) || '…') ELSE value END), '{{}}')
                FROM jsonb_each({column} -> 'values')))
             WHERE jsonb_typeof({column} -> 'values') = 'object' AND length({column}::text) > {LONGEST_ENTRY}
            """
        )
    for table, column in LISTS:
        op.execute(
            f"""
            UPDATE {table} SET {column} = (
              SELECT coalesce(jsonb_agg(entry), '[]') FROM jsonb_array_elements({column}) AS entry
               WHERE length(entry::text) <= {LONGEST_ENTRY})
             WHERE jsonb_typeof({column}) = 'array' AND length({column}::text) > {LONGEST_ENTRY}
            """
        )


def downgrade() -> None:
    # What was cut cannot be put back, and means the same.
    op.execute("DROP TABLE procrastinate_job_reasons")
