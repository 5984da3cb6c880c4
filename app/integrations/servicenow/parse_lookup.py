"""Parse the answers by which records of ours are found again, and tell "not there" from "not shown". Does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from app.core.messages import T
from app.integrations.http.errors import QueryIgnored
from app.integrations.http.http_types import RemoteResponse
from app.integrations.servicenow.parse_response import counted, listed, result_of, tickets_of
from app.integrations.servicenow.schemas import Listed, RemoteTicket
from app.integrations.servicenow.text_comparison import is_same_text

IGNORED = T("ServiceNow ignored what we looked for and listed other records.", code="servicenow.query_ignored")
HIDDEN_ID = T(
    "ServiceNow does not show the integration user the field correlation_id, by which we find a ticket again.",
    code="servicenow.correlation_id_hidden",
)
HIDDEN_RECORD = T(
    "ServiceNow counts a record with this ticket’s correlation id, and hides it from the integration user.",
    code="servicenow.record_hidden",
)
HIDDEN_OWNER = T(
    "ServiceNow holds records without a correlation id and does not show the integration user whose they are "
    "(correlation_display, sys_created_by), so one of them may be this ticket’s.",
    code="servicenow.owner_hidden",
)


def found_by(answer: RemoteResponse, correlation_id: str) -> list[RemoteTicket]:
    """The records of a lookup by correlation ID, oldest first. Raises QueryIgnored unless they are surely all there are."""
    found = tickets_of(result_of(answer))
    for ticket in found:
        if "correlation_id" not in ticket.values:
            raise QueryIgnored(HIDDEN_ID)
        if ticket.correlation_id != correlation_id:
            raise QueryIgnored(IGNORED)
    if not found and counted(answer):
        raise QueryIgnored(HIDDEN_RECORD)
    # Also where the instance refuses to sort them. A time that may not be read is taken for the oldest.
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(found, key=lambda ticket: (ticket.created_at or oldest, ticket.sys_id))


def found_by_sys_ids(answer: RemoteResponse, sys_ids: Sequence[str]) -> list[RemoteTicket]:
    """The records of a lookup by sys_id. Raises QueryIgnored for other records, and when those counted are all hidden."""
    found = tickets_of(result_of(answer))
    if not {ticket.sys_id for ticket in found} <= set(sys_ids):
        raise QueryIgnored(IGNORED)
    if not found and counted(answer):
        raise QueryIgnored(HIDDEN_RECORD)
    return found


def emptied_of(answer: RemoteResponse, marker: str, created_by: str) -> Listed:
    """Records of ours, or of our account, whose correlation ID is empty. Raises QueryIgnored when others are listed."""
    page = listed(answer)
    for row in page.rows:
        if not is_emptied(row, marker, created_by):
            raise QueryIgnored(HIDDEN_OWNER if hides_its_owner(row) else IGNORED)
    return page


def hides_its_owner(row: RemoteTicket) -> bool:
    """Whether its correlation ID is empty, and nothing shows whether it is ours."""
    is_hidden = "correlation_display" not in row.values and "sys_created_by" not in row.values
    return is_hidden and row.values.get("correlation_id") == ""


def is_emptied(row: RemoteTicket, marker: str, created_by: str) -> bool:
    """Whether it carries our marker or was made by our account, and shows an empty correlation ID.

    A row that does not show its correlation ID, its marker or its creator could be anyone's.
    """
    by_us = bool(created_by) and is_same_text(row.values.get("sys_created_by", ""), created_by)
    is_ours = by_us or is_same_text(row.correlation_display, marker)
    return is_ours and row.values.get("correlation_id") == ""
