"""The audit log's page and its exports as CSV and JSON. Writes nothing."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response

from app.core.spreadsheet import csv_writer, safe_cell
from app.features.accounts.audit import AuditLine, AuditList, all_entries, list_entries
from app.web.dependencies import Db, Manager
from app.web.rate_limits import limited
from app.web.routing import PageRouter, url_for
from app.web.templating import render

router = PageRouter(prefix="/servicenow/audit")
LONGEST_SEARCH = 200
# The list answers a page past the end with the last one.
Page = Annotated[int, Query(ge=1, le=1_000_000)]
COLUMNS = ("number", "at", "who", "email", "from", "what", "facts", "request")


@dataclass(frozen=True)
class AuditPage:
    """One page of entries; `wanted` is the search text."""

    entries: AuditList
    wanted: str

    def address(self, page: int) -> str:
        """The URL of another page of the same search."""
        return url_for("audit.page", q=self.wanted, page=page)

    def export(self, kind: str) -> str:
        """The URL of the same search as a file; `kind` is csv or json."""
        return url_for(f"audit.{kind}", q=self.wanted)


@router.get("", name="audit.page")
async def show(request: Request, _viewer: Manager, session: Db, q: str = "", page: Page = 1) -> Response:
    q = _search(q)
    found = await list_entries(session, wanted=q, page=page)
    return render(request, "servicenow/audit.html", AuditPage(found, q))


@router.get(".csv", name="audit.csv", dependencies=[limited("export")])
async def as_csv(_viewer: Manager, session: Db, q: str = "") -> Response:
    # Excel takes a CSV for the system's code page unless it begins with a byte order mark. CSV injection: a cell that begins
    # like a formula is made text. https://owasp.org/www-community/attacks/CSV_Injection
    text = io.StringIO()
    writer = csv_writer(text)
    writer.writerow(COLUMNS)
    async for line in all_entries(session, wanted=_search(q)):
        writer.writerow(safe_cell(str(value)) for value in _values(line).values())
    return _file("\ufeff" + text.getvalue(), "text/csv", "csv")


@router.get(".json", name="audit.json", dependencies=[limited("export")])
async def as_json(_viewer: Manager, session: Db, q: str = "") -> Response:
    lines = [_values(line) | {"facts": line.facts} async for line in all_entries(session, wanted=_search(q))]
    return _file(json.dumps(lines, ensure_ascii=False, indent=1), "application/json", "json")


def _search(typed: str) -> str:
    # PostgreSQL stores no NUL in a text and answers a query that has one with an error.
    return typed.replace("\0", "")[:LONGEST_SEARCH]


def _values(line: AuditLine) -> dict[str, str | dict[str, str]]:
    facts = "; ".join(f"{name}: {value}" for name, value in line.facts.items())
    who = (line.who, line.email, line.address)
    values = (str(line.number), line.at.isoformat(), *who, str(line.action), facts, line.request_id)
    return dict(zip(COLUMNS, values, strict=True))


def _file(content: str, media_type: str, ending: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="audit-log.{ending}"', "Cache-Control": "no-store"}
    return Response(content, media_type=media_type, headers=headers)
