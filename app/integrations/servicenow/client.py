"""Call the Table API of one instance with one access token. Retries nothing and knows nothing of our tickets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.core import clock
from app.core.messages import Message
from app.integrations.http.errors import Ambiguous, Forbidden, InvalidResponse, RecordNotFound
from app.integrations.http.http_types import RemoteResponse, Request, clock_ahead
from app.integrations.http.transport import Transport
from app.integrations.servicenow import parse_journal, parse_lookup, parse_response, protocol
from app.integrations.servicenow.error_envelope import is_query_refused
from app.integrations.servicenow.parse_page import page_of
from app.integrations.servicenow.parse_response import Purpose
from app.integrations.servicenow.protocol import ByIds, Changed
from app.integrations.servicenow.schemas import (
    FieldChoice,
    JournalRow,
    Listed,
    Release,
    RemoteTicket,
    RemoteUser,
    Table,
)


@dataclass(frozen=True)
class PingResponse:
    """The answer to a call without a token; `ahead` is by how many seconds the instance's clock is ahead of ours."""

    answer: RemoteResponse
    ahead: float | None


async def ping(transport: Transport, origin: str) -> PingResponse:
    """Call the API without a token: an instance that is awake answers 401 in JSON. Raises RemoteError."""
    sent = clock.now().timestamp()
    answer = await transport.send(protocol.ping_request(origin))
    return PingResponse(answer, clock_ahead(answer, sent, clock.now().timestamp()))


class ServiceNowClient:
    """Every method raises a RemoteError when the answer is not what was asked for."""

    def __init__(self, transport: Transport, origin: str, access_token: str) -> None:
        self._transport = transport
        self._authorization = {"Authorization": f"Bearer {access_token}"}
        self.origin = origin
        # Requests leave before this (clock.seconds_awake_and_asleep), or not at all.
        self.leave_by: float | None = None
        self.hourly_limit: int | None = None  # As the instance last named it, on instances that have such a rule.

    async def create(self, table: Table, fields: Mapping[str, str], own_sys_id: str = "") -> RemoteTicket:
        """Insert a record, with this sys_id where the instance keeps one that was chosen.

        Ambiguous, ServerError and Forbidden may all mean that it was inserted: reconcile before repeating
        (docs/facts/servicenow.md#trap-3, docs/facts/servicenow.md#trap-4).
        """
        request = protocol.create_request(self.origin, table, fields, own_sys_id)
        try:
            return parse_response.ticket_of(await self._result(request, purpose="write"))
        except InvalidResponse as error:
            # An unreadable answer to a write may hide a record that was inserted.
            said = error.message
            unclear = Ambiguous(Message(said.message, said.values, parse_response.UNREADABLE))
            unclear.is_final = True
            raise unclear from error

    async def find_by_correlation(
        self, table: Table, correlation_id: str, also: Sequence[str] = ()
    ) -> list[RemoteTicket]:
        """Records with this correlation ID, oldest first, with the fields `also` besides the usual ones.

        Raises QueryIgnored when the answer cannot be trusted to be complete: other records, rows without the ID, or a
        count of more rows than are shown. Raises ValueError for an ID that we did not make: an empty one would match
        other people's tickets (docs/facts/servicenow.md#trap-5).
        """
        request = protocol.find_by_correlation_request(self.origin, table, correlation_id, also)
        answer = await self.sorted_answer(request)
        return parse_lookup.found_by(answer, correlation_id)

    async def find_by_sys_ids(
        self, table: Table, sys_ids: Sequence[str], also: Sequence[str] = ()
    ) -> list[RemoteTicket]:
        """Records with these sys_ids. Raises QueryIgnored for rows that were not asked for, or when none of those that
        ServiceNow counts is shown.
        """
        answer = await self.answer(protocol.find_by_sys_ids_request(self.origin, table, sys_ids, also))
        return parse_lookup.found_by_sys_ids(answer, sys_ids)

    async def emptied(self, table: Table, marker: str, created_by: str) -> Listed:
        """Records of ours, or of our account, whose correlation ID is empty, with the column `short_description`.

        Raises QueryIgnored when the answer holds other records.
        """
        answer = await self.answer(protocol.emptied_request(self.origin, table, marker, created_by))
        return parse_lookup.emptied_of(answer, marker, created_by)

    async def newest(self, table: Table) -> list[RemoteTicket]:
        """The newest 100 records of the table, with `short_description` and `sys_created_by`; any 100 where it may not
        be sorted.
        """
        answer = await self.sorted_answer(protocol.newest_request(self.origin, table))
        return parse_response.tickets_of(parse_response.result_of(answer))

    async def shows_correlation_ids(self, table: Table) -> bool:
        """Whether the instance shows the integration user any record of this table with its correlation ID."""
        rows = parse_response.rows_of(await self._result(protocol.sight_request(self.origin, table)))
        return any("correlation_id" in row for row in rows)

    async def fetch_page(self, table: Table, asked: Changed | ByIds) -> Listed:
        """One page of records. Deleted and hidden ones are missing, so a short or empty page may not be the last.

        Check each row: an instance that ignores the condition returns other people's records
        (docs/facts/servicenow.md#trap-14, docs/facts/servicenow.md#trap-6).
        """
        # Retrieve records: https://www.servicenow.com/docs/r/australia/api-reference/rest-apis/c_TableAPI.html
        return page_of(await self.answer(protocol.records_request(self.origin, table, asked)))

    async def add_note(self, table: Table, sys_id: str, text: str) -> None:
        """Append a work note. Ambiguous, ServerError and Forbidden may all mean that it was done: reconcile first."""
        await self._result(protocol.note_request(self.origin, table, sys_id, text), purpose="write")

    async def journal(self, table: Table, sys_id: str) -> dict[str, str]:
        """The displayed `work_notes` and `comments`, newest first. Raises RecordNotFound with its count."""
        answer = await self.answer(protocol.journal_request(self.origin, table, sys_id))
        rows = parse_response.rows_of(parse_response.result_of(answer))
        try:
            return parse_journal.journal_of(rows, sys_id)
        except RecordNotFound as error:
            error.counted = parse_response.counted(answer)
            raise

    async def journal_rows(self, sys_id: str) -> list[JournalRow]:
        """The newest 200 entries of both journals, newest first. Raises Forbidden where the table may not be read.

        Empty also where access rules hide the rows.
        """
        answer = await self.sorted_answer(protocol.journal_rows_request(self.origin, sys_id))
        return parse_journal.journal_rows_of(parse_response.result_of(answer), sys_id)

    async def choices(self, table: Table, element: str) -> list[FieldChoice]:
        """The field's choices. Raises Forbidden on many instances without the role `personalize_choices`."""
        # docs/facts/servicenow.md#4-4-choices
        answer = await self.sorted_answer(protocol.choices_request(self.origin, table, element))
        return parse_response.choices_of(parse_response.result_of(answer), table, element)

    async def release(self) -> Release | None:
        """The release, or None: the properties are often refused to accounts that are not administrators."""
        try:
            return parse_response.release_of(await self.answer(protocol.release_request(self.origin)))
        except Forbidden:
            return None

    async def whoami(self) -> RemoteUser | None:
        """The user of the token, or None when the instance does not say."""
        return parse_response.user_of(await self.answer(protocol.whoami_request(self.origin)))

    async def answer(self, request: Request) -> RemoteResponse:
        """Send any request with the token; the response, with any status."""
        signed = {**request.headers, **self._authorization}
        answer = await self._transport.send(replace(request, headers=signed, leave_by=self.leave_by))
        self.hourly_limit = parse_response.named_limit(answer) or self.hourly_limit
        return answer

    async def sorted_answer(self, request: Request) -> RemoteResponse:
        """The answer to a query that sorts; asked once more without an order when it is refused.

        Raises nothing for a bad status. The caller sorts the rows.
        """
        answer = await self.answer(request)
        return await self.answer(protocol.unsorted(request)) if is_query_refused(answer) else answer

    async def _result(self, request: Request, *, purpose: Purpose = "read") -> Any:  # noqa: ANN401 - straight from JSON.
        return parse_response.result_of(await self.answer(request), purpose=purpose)
