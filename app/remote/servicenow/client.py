"""Calls one instance's Table API with one access token. Knows nothing of our tickets, and repeats nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.remote.errors import Refused
from app.remote.messages import Request
from app.remote.servicenow import protocol
from app.remote.servicenow.protocol import Purpose
from app.remote.servicenow.shapes import Choice, Release, RemoteTicket, RemoteUser, Table
from app.remote.transport import Transport


class ServiceNowClient:
    """Every method raises a RemoteError when the answer is not what was asked for."""

    def __init__(self, transport: Transport, origin: str, access_token: str) -> None:
        self._transport = transport
        self._authorization = {"Authorization": f"Bearer {access_token}"}
        self.origin = origin

    async def create(self, table: Table, fields: Mapping[str, str]) -> RemoteTicket:
        """Insert a record. Ambiguous, Broken and Refused may all mean that it was made: look before repeating."""
        request = protocol.create_request(self.origin, table, fields)
        return protocol.ticket_of(await self._result(request, purpose="write"))

    async def find_by_correlation(self, table: Table, correlation_id: str) -> list[RemoteTicket]:
        """Records that carry this id; what does not is left out, should the instance have ignored the condition."""
        request = protocol.find_by_correlation_request(self.origin, table, correlation_id)
        found = protocol.tickets_of(await self._result(request))
        return [ticket for ticket in found if ticket.correlation_id == correlation_id]

    async def fetch_changed(
        self, table: Table, *, marker: str, since: datetime, after: str | None = None, limit: int = 200
    ) -> list[RemoteTicket]:
        """One page of our records changed since then; short pages may have successors, as rows may be hidden."""
        request = protocol.changed_request(self.origin, table, marker=marker, since=since, after=after, limit=limit)
        return protocol.tickets_of(await self._result(request))

    async def fetch_many(self, table: Table, sys_ids: Sequence[str]) -> list[RemoteTicket]:
        """These records, in calls of 50; those deleted or hidden are simply not among the answer."""
        found: list[RemoteTicket] = []
        for start in range(0, len(sys_ids), protocol.IDS_PER_CALL):
            wanted = sys_ids[start : start + protocol.IDS_PER_CALL]
            rows = protocol.tickets_of(await self._result(protocol.fetch_many_request(self.origin, table, wanted)))
            found.extend(row for row in rows if row.sys_id in wanted)
        return found

    async def choices(self, table: Table, element: str) -> list[Choice]:
        """The field's choices; needs the role `personalize_choices` on many instances (Refused without)."""
        result = await self._result(protocol.choices_request(self.origin, table, element))
        return protocol.choices_of(result, table, element)

    async def release(self) -> Release | None:
        """Which release answers, or None: the properties are often refused to accounts that are no administrators."""
        try:
            return protocol.release_of(await self._result(protocol.release_request(self.origin)))
        except Refused:
            return None

    async def whoami(self) -> RemoteUser | None:
        """The user of the token, or None when the instance would not say."""
        return protocol.user_of(await self._result(protocol.whoami_request(self.origin)))

    async def check_readable(self, table: str) -> None:
        """Raises the RemoteError that stands in the way of reading this table."""
        protocol.rows_of(await self._result(protocol.readable_request(self.origin, table)))

    async def _result(self, request: Request, *, purpose: Purpose = "read") -> Any:  # noqa: ANN401 - straight from JSON.
        signed = Request(
            request.method, request.url, request.query, {**request.headers, **self._authorization}, body=request.body
        )
        return protocol.result_of(await self._transport.send(signed), purpose=purpose)
