"""What every check gets: the connection as it was when the checks began, one way to call ServiceNow, common facts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from app.core.messages import Message, T
from app.features.connection import gateway
from app.features.connection.authorization_attempts import LastAttempt
from app.features.connection.connection_view import ConnectionView
from app.features.connection.gateway import Lane, ServiceNowClient
from app.features.connection.oauth_client import redirect_uri
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.finding_catalog import fill, make_finding
from app.resources import Resources

Returned = TypeVar("Returned")
# Where ServiceNow did not say who consented.
NAMELESS_USER = T("the integration user")


@dataclass(frozen=True)
class CheckContext:
    """One round of checks of one connection.

    `lane` is INTERACTIVE where a person waits for the findings. `attempt` is the authorization that was begun last, and
    `has_connection` is false while such an attempt is all there is: `connection` then describes the attempt.
    """

    resources: Resources
    connection: ConnectionView
    lane: Lane = Lane.INTERACTIVE
    attempt: LastAttempt | None = None
    has_connection: bool = True

    async def call(self, work: Callable[[ServiceNowClient], Awaitable[Returned]]) -> Returned:
        """The answer of `work`. Raises as `gateway.call` does."""
        return await gateway.call(self.resources, work, connection_id=self.connection.id, lane=self.lane)

    def finding(
        self, code: str, *, key: str = "", state: State | None = None, meaning: Message | None = None, **facts: object
    ) -> Finding:
        """The finding of this code; `user`, `client`, `origin` and `url` (our redirect URL) need not be given."""
        return make_finding(code, key=key, state=state, meaning=meaning, **(self.facts | facts))

    def fill(self, text: Message) -> Message:
        """The text with the facts that every check knows."""
        return fill(text, self.facts)

    @property
    def facts(self) -> dict[str, object]:
        """What every text may name."""
        return {
            "user": self.user,
            "client": self.connection.client_id,
            "origin": self.connection.origin,
            "url": redirect_uri(self.resources),
        }

    @property
    def user(self) -> str:
        """The account that consented, as its administrator knows it."""
        return self.connection.user_name or str(NAMELESS_USER)
