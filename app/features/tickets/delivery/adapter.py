"""What differs between the rows that are delivered: the interface between outbound.py and tickets or notes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

from app.core.database import Session
from app.core.errors import RetryLater
from app.core.messages import Message
from app.features.connection.gateway import ServiceNowClient
from app.features.tickets.models import Outbound
from app.features.tickets.types import Delivery

Row = TypeVar("Row", bound=Outbound)
Found = TypeVar("Found")
Answer = TypeVar("Answer")
Call = Callable[[ServiceNowClient], Awaitable[Answer]]


class StillUncertain(Exception):
    """A send may still be under way in ServiceNow: find again later, and do not repeat it."""


class Superseded(Exception):
    """This attempt sends and writes nothing more: the row was decided meanwhile (`is_decided`), or another one has begun."""

    def __init__(self, *, is_decided: bool = True) -> None:
        super().__init__()
        self.is_decided = is_decided

    def go_on_after(self, seconds: float) -> None:
        """Raises RetryLater unless the row is decided: perhaps no other job brings it, whatever began the other attempt."""
        if not self.is_decided:
            raise RetryLater(seconds) from self


class OutboundAdapter(ABC, Generic[Row, Found]):
    """What differs between the rows that are delivered. One instance serves one attempt at one row.

    Methods that take `session` touch rows only, those that take `client` ServiceNow only. `load` sets `connection_id`.
    """

    connection_id: UUID
    # The state in which the row is this adapter's business.
    awaiting = Delivery.QUEUED
    # What a person reads while a send may still be under way. None leaves what is already said of the row.
    still_uncertain: Message | None = None
    log_fields: dict[str, Any]

    @abstractmethod
    async def load(self, session: Session) -> Row | None:
        """The row, locked; None when there is nothing to deliver."""

    async def postpone(self, session: Session, row: Row) -> RetryLater | None:  # noqa: ARG002 - for those that override it.
        """Why no attempt may begin now; None when one may. May also change `row.delivery`, which ends the delivery."""
        return None

    @abstractmethod
    async def find(self, client: ServiceNowClient) -> Found | None:
        """What an earlier attempt left in ServiceNow; None when the answer shows nothing, which is no proof yet."""

    async def visibility_check(self, session: Session, row: Row) -> Call[None] | None:  # noqa: ARG002 - for those that override it.
        """A call that raises QueryIgnored unless `find` would have seen the record. None where `find` is proof enough."""
        return None

    @abstractmethod
    async def send(self, client: ServiceNowClient) -> Found:
        """Make it in ServiceNow: one call, never repeated here."""

    def before_send(self, row: Row) -> None:
        """Decide on the locked row what the send carries, and keep it there: it is committed before the send."""

    def recheck(self) -> Call[Found | None] | None:
        """A call that finds what an earlier send has made, after a repeated one was refused. None where there is none."""
        return None

    def confirmation(self) -> Call[Found] | None:
        """A call that tells what became of a send that was answered. None where the answer itself tells."""
        return None

    def confirmed(self, found: Found) -> Found:
        """What the confirmation has found. Raises the RemoteError that refuses it, as if it were the send's answer."""
        return found

    async def refused(self, session: Session, row: Row) -> None:
        """ServiceNow's refusal of the send is believed, and the row is about to be held."""

    async def lock_before_row(self, session: Session, *, just_sent: bool) -> None:
        """Lock what `delivered` changes besides the row: connection/throttle.py says what is locked before a row.

        `just_sent`: what is kept is the answer to the send, and not the result of a lookup.
        """

    @abstractmethod
    async def delivered(self, session: Session, row: Row, found: Found) -> None:
        """Keep what was found or made."""

    @abstractmethod
    def in_doubt(self, reason: Message, before: Message | None) -> Message:
        """Why it is held though it may have arrived. `before` is what an earlier attempt was told."""

    def note_problem(self, session: Session, row: Row, problem: Message) -> None:
        """A problem that differs from the one before, for the history."""

    def note_held(self, session: Session, row: Row) -> None:
        """The row is held now, for the history."""
