"""Parse one page of a list in which a single odd record must not hide the others. Does no I/O.

For following records only: a lookup that decides whether something is sent again needs every row (parse_lookup.py).
"""

from __future__ import annotations

from app.core.logging import get_logger
from app.integrations.http.errors import InvalidResponse
from app.integrations.http.http_types import RemoteResponse
from app.integrations.servicenow.parse_response import answered_at, counted, result_of, rows_of, ticket_of
from app.integrations.servicenow.schemas import Listed, RemoteTicket

log = get_logger(__name__)

# One or two odd records are odd; more of them, and no other, mean that the instance answers in another shape.
SUSPICIOUS_COUNT = 3


def page_of(answer: RemoteResponse) -> Listed:
    """The readable records of a page, and how many are not. Raises InvalidResponse when none of three or more is.

    Raises the RemoteError that a bad response means.
    """
    rows = rows_of(result_of(answer))
    found: list[RemoteTicket] = []
    last: InvalidResponse | None = None
    for row in rows:
        try:
            found.append(ticket_of(row))
        except InvalidResponse as error:
            last = error
    if last is not None and not found and len(rows) >= SUSPICIOUS_COUNT:
        raise last
    if last is not None:
        log.warning("servicenow.record.unreadable", records=len(rows) - len(found), why=str(last))
    return Listed(found, counted(answer), answered_at(answer), unreadable=len(rows) - len(found))
