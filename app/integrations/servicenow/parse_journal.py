"""Parse a record's journals: the text that is displayed, and the entries as rows. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.core.bounds import LONGEST_LABEL, exact, first, line
from app.core.messages import T
from app.integrations.http.errors import Forbidden, RecordNotFound
from app.integrations.http.http_types import LARGEST_ANSWER_BYTES
from app.integrations.servicenow.parse_response import NO_RECORD, parse_time, rows_of, shown_of, value_of
from app.integrations.servicenow.protocol import MOST_JOURNAL_ROWS
from app.integrations.servicenow.schemas import JournalRow

# As long as an answer can be: a note of ours is found again by its reference, however much was written since.
LONGEST_JOURNAL = LARGEST_ANSWER_BYTES
NO_JOURNAL = T(
    "ServiceNow does not show the integration user the work notes of this record.", code="servicenow.no_journal"
)


def journal_of(rows: Sequence[Mapping[str, Any]], sys_id: str) -> dict[str, str]:
    """The displayed journals of this record by field name; one that may not be read is missing.

    Raises RecordNotFound when the record is not among the rows, and Forbidden when neither journal may be read.
    """
    for row in rows:
        if value_of(row, "sys_id").lower() == sys_id:
            shown = {
                name: exact(shown_of(row, name), LONGEST_JOURNAL) for name in ("work_notes", "comments") if name in row
            }
            if not shown:
                raise Forbidden(NO_JOURNAL)
            return shown
    raise RecordNotFound(NO_RECORD)


def journal_rows_of(result: Any, sys_id: str) -> list[JournalRow]:  # noqa: ANN401 - straight from JSON.
    """The journal entries of this record, newest first: at most as many as are asked for, without those of others."""
    rows = [
        JournalRow(
            journal=value_of(row, "element", LONGEST_LABEL),
            author=line(value_of(row, "sys_created_by"), LONGEST_LABEL),
            written_at=parse_time(value_of(row, "sys_created_on")),
            text=value_of(row, "value", LONGEST_JOURNAL),
        )
        for row in first(rows_of(result), MOST_JOURNAL_ROWS)
        # Checked again: a condition that is not understood is dropped. docs/facts/servicenow.md#trap-6
        if value_of(row, "element_id").lower() == sys_id
    ]
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(rows, key=lambda row: row.written_at or oldest, reverse=True)
