"""Writes the list of actions as CSV that spreadsheets open safely. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import select

from app.core.database import Session
from app.core.messages import T
from app.core.spreadsheet import safe_cell
from app.features.secure_score.actions.action_list import LEVEL_NAMES
from app.features.secure_score.actions.action_rows import ActionLine, Row
from app.features.secure_score.html_text import plain_text

BYTE_ORDER_MARK = "\ufeff"

HEADINGS = (
    T("Rank"),
    T("Recommended action"),
    T("Score impact (%)"),
    T("Points achieved"),
    T("Points possible"),
    T("Status"),
    T("Planned for"),
    T("Regressed"),
    T("Have licence"),
    T("Category"),
    T("Product"),
    T("Last synced"),
    T("Microsoft update"),
    T("Notes"),
    T("Tags"),
    T("Tickets"),
    T("Threats"),
    T("User impact"),
    T("Implementation cost"),
    T("Description"),
    T("Next steps"),
    T("Id"),
)


async def load_texts(session: Session, tenant_id: str) -> dict[str, tuple[str, str]]:
    """Description and next steps of every action, as Graph's HTML."""
    found = await session.execute(
        select(Row.control_id, Row.description, Row.remediation).where(Row.tenant_id == tenant_id)
    )
    return {row.control_id: (row.description, row.remediation) for row in found}


def as_csv(
    lines: Iterable[ActionLine], tickets: Mapping[str, Sequence[str]], texts: Mapping[str, tuple[str, str]]
) -> str:
    """The file, with a byte order mark so that Excel reads it as UTF-8; `tickets` are numbers by control id."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([safe_cell(str(heading)) for heading in HEADINGS])
    for line in lines:
        writer.writerow([safe_cell(cell) for cell in _cells(line, tickets, texts)])
    return BYTE_ORDER_MARK + out.getvalue()


def _cells(
    line: ActionLine, tickets: Mapping[str, Sequence[str]], texts: Mapping[str, tuple[str, str]]
) -> tuple[str, ...]:
    description, remediation = texts.get(line.control_id, ("", ""))
    return (
        "" if line.rank is None else str(line.rank),
        line.title,
        _number(line.score_impact),
        _number(line.points),
        _number(line.max_points),
        str(line.standing.name),
        _day(line.planned_for),
        _day(line.regressed_on if line.is_regressed else None),
        str(T("Yes") if line.scored else T("No")),
        line.category_name,
        line.product,
        _day(line.last_synced_at),
        _day(line.updated_at),
        str(line.notes or ""),
        ", ".join(line.tags),
        ", ".join(tickets.get(line.control_id, ())),
        ", ".join(line.threats),
        str(LEVEL_NAMES[line.user_impact]),
        str(LEVEL_NAMES[line.implementation_cost]),
        plain_text(description),
        plain_text(remediation),
        line.control_id,
    )


def _number(value: float | None) -> str:
    """With a point, which every spreadsheet can be told to read; empty when unknown."""
    return "" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def _day(value: date | datetime | None) -> str:
    return "" if value is None else value.strftime("%Y-%m-%d")
