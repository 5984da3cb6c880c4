"""Write the list of actions as CSV that spreadsheets open safely, and load the texts it needs. Changes nothing."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select

from app.core.database import Session
from app.core.spreadsheet import csv_writer, safe_cell
from app.features.secure_score.actions.action_rows import ActionLine, Row
from app.features.secure_score.actions.columns import EXPORT_COLUMNS, ExportRow

# Excel reads a CSV file as UTF-8 only when it begins with this: docs/facts/microsoft-graph.md#edge-34
BYTE_ORDER_MARK = "\ufeff"


async def load_texts(session: Session, tenant_id: str) -> dict[str, tuple[str, str]]:
    """Description and next steps of every action, as Graph's HTML, by control id."""
    found = await session.execute(
        select(Row.control_id, Row.description, Row.remediation).where(Row.tenant_id == tenant_id)
    )
    return {row.control_id: (row.description, row.remediation) for row in found}


def as_csv(
    lines: Iterable[ActionLine], tickets: Mapping[str, Sequence[str]], texts: Mapping[str, tuple[str, str]]
) -> str:
    """The whole file; `tickets` are ticket numbers by control id, `texts` what `load_texts` gives."""
    out = io.StringIO()
    writer = csv_writer(out)
    writer.writerow([safe_cell(str(column.export_heading or column.heading)) for column in EXPORT_COLUMNS])
    for line in lines:
        description, remediation = texts.get(line.control_id, ("", ""))
        row = ExportRow(line, tuple(tickets.get(line.control_id, ())), description, remediation)
        # A title comes from outside: a cell that begins with "=" would be run as a formula.
        writer.writerow([safe_cell(column.export(row)) for column in EXPORT_COLUMNS if column.export])
    return BYTE_ORDER_MARK + out.getvalue()
