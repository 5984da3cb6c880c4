"""One running stand-in: its records, switches, faults and journal, and who is calling. Answers no requests itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from sandbox.faults import Orders, Switches
from sandbox.journal import Journal
from sandbox.servicenow.schema import ServiceNowSandbox, seed
from sandbox.servicenow.store import TIME_FORMAT, Record, Store, new_sys_id

# Defaults of a client record (facts 1.4), in seconds.
ACCESS_SECONDS = 1800
REFRESH_SECONDS = 8_640_000
CODE_SECONDS = 60


@dataclass
class Instance:
    """Everything the request handlers share."""

    settings: ServiceNowSandbox
    store: Store
    switches: Switches = field(default_factory=Switches)
    orders: Orders = field(default_factory=Orders)
    journal: Journal = field(default_factory=Journal)

    @classmethod
    def start(cls, settings: ServiceNowSandbox) -> Instance:
        """Open the store, filling it if it is new, and register the OAuth client the settings name."""
        instance = cls(settings, Store(settings.file))
        if instance.store.is_empty:
            seed(instance.store, settings)
        instance.register_client()
        return instance

    def reset(self) -> None:
        """As new: records, tokens, switches, faults and journal."""
        for table in list(self.store.tables):
            for row in self.store.rows(table):
                self.store.remove(table, row["sys_id"])
        self.store.ahead = timedelta()
        self.switches, self.orders = Switches(), Orders()
        self.journal.clear()
        seed(self.store, self.settings)
        self.register_client()

    def register_client(self) -> None:
        """The Application Registry record of the connector."""
        settings = self.settings
        record = self.store.find("oauth_entity", client_id=settings.client_id) or {"active": "true"}
        self.store.put(
            "oauth_entity",
            record
            | {
                "name": settings.client_name,
                "client_id": settings.client_id,
                "client_secret": settings.client_secret,
                "redirect_url": ",".join(settings.redirect_uris),
                "type": "client",
            },
        )

    def expires(self, seconds: int) -> str:
        """So many seconds from now, as text."""
        return (self.store.now() + timedelta(seconds=seconds)).strftime(TIME_FORMAT)

    def is_live(self, credential: Record | None) -> bool:
        """Whether a token or code exists and its time has not come."""
        return credential is not None and credential["expires"] > self.store.now_text()

    def credential(self, kind: str, value: str) -> Record | None:
        """A code or token by its text."""
        return self.store.find("oauth_credential", kind=kind, token=value) if value else None

    def issue(self, kind: str, value: str, user_id: str, client_id: str, seconds: int, **more: str) -> Record:
        """Remember a new code or token."""
        return self.store.put(
            "oauth_credential",
            {
                "sys_id": new_sys_id(),
                "kind": kind,
                "token": value,
                "user": user_id,
                "client_id": client_id,
                "expires": self.expires(seconds),
                "received": self.store.now_text(),
                **more,
            },
        )

    def user_of(self, access_token: str) -> Record | None:
        """The user an access token speaks for, while both live."""
        credential = self.credential("access", access_token)
        if credential is None or not self.is_live(credential):
            return None
        user = self.store.get("sys_user", credential["user"])
        return user if user and user["active"] == "true" else None


def roles_of(user: Record) -> frozenset[str]:
    """The user's roles."""
    return frozenset(filter(None, user.get("_roles", "").split(",")))
