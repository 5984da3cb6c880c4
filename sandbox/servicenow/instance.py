"""One running stand-in: its records, switches, faults and journal, and who is calling. Answers no requests itself."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from sandbox.faults import FaultOrders
from sandbox.request_journal import RequestJournal
from sandbox.servicenow.api_sessions import ApiSessions
from sandbox.servicenow.instance_settings import ServiceNowSandbox
from sandbox.servicenow.seeds import seed
from sandbox.servicenow.store import TIME_FORMAT, Record, Store, new_sys_id
from sandbox.servicenow.switches import Switches
from sandbox.servicenow.table_schema import stamp

# Defaults of a client record (facts 1.4), in seconds.
ACCESS_SECONDS = 1800
REFRESH_SECONDS = 8_640_000
CODE_SECONDS = 60
INTEGRATION_USER = "m365.integration"
# Expired tokens stay on the admin page for a while.
KEPT_AFTER_EXPIRY = timedelta(days=1)


@dataclass
class SandboxInstance:
    """Everything the request handlers share."""

    settings: ServiceNowSandbox
    store: Store
    switches: Switches = field(default_factory=Switches)
    orders: FaultOrders = field(default_factory=FaultOrders)
    journal: RequestJournal = field(default_factory=RequestJournal)
    sessions: ApiSessions = field(default_factory=ApiSessions)
    spent: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Labels of choices, remembered until a choice changes.
    labels: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)
    labels_version: int = -1
    # What the second factor's app would show; made for each run.
    mfa_code: str = field(default_factory=lambda: f"{secrets.randbelow(1_000_000):06d}")

    def __post_init__(self) -> None:
        self.store.skew = lambda: timedelta(seconds=self.switches.clock_off_seconds)

    @classmethod
    def start(cls, settings: ServiceNowSandbox) -> SandboxInstance:
        """Open the store, filling it if it is new, and register the OAuth client the settings name."""
        instance = cls(settings, Store(settings.file))
        if not instance.store.is_empty and instance.store.find("sys_user_role", name="itil") is None:
            instance.store.clear()  # Of a time before roles were records: such a file cannot be gone on with.
        if instance.store.is_empty:
            seed(instance.store, settings)
        instance.register_client()
        return instance

    def reset(self) -> None:
        """As new: records, tokens, switches, faults and journal."""
        self.store.clear()
        self.switches, self.orders, self.sessions = Switches(), FaultOrders(), ApiSessions()
        self.spent.clear()
        self.journal.clear()
        seed(self.store, self.settings)
        self.register_client()

    def register_client(self) -> None:
        """The Application Registry record of the connector."""
        settings = self.settings
        record = self.store.find("oauth_entity", client_id=settings.client_id) or {
            "active": "true",
            "access_token_lifespan": str(ACCESS_SECONDS),
            "refresh_token_lifespan": str(REFRESH_SECONDS),
            "auth_code_lifespan": str(CODE_SECONDS),
        }
        wanted = {
            "name": settings.client_name,
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "redirect_url": ",".join(settings.redirect_uris),
            "type": "client",
        }
        if record | wanted != record:
            stamp(self.store, "oauth_entity", record | wanted, by="admin")

    def client(self, client_id: str) -> Record | None:
        """A client record as the switches have it, while it is active."""
        found = self.store.find("oauth_entity", client_id=client_id) if client_id else None
        if found is None or found["active"] != "true" or self.switches.client_inactive:
            return None
        if self.switches.redirect_mismatch:
            found = found | {"redirect_url": ",".join(f"{url}/" for url in found["redirect_url"].split(","))}
        if self.switches.wrong_secret:
            found = found | {"client_secret": f"not-{found['client_secret']}"}
        return found

    def expires(self, seconds: int) -> str:
        """So many seconds from now, as text."""
        return (self.store.time() + timedelta(seconds=seconds)).strftime(TIME_FORMAT)

    def is_live(self, credential: Record | None) -> bool:
        """Whether a token or code exists and its time has not come."""
        return credential is not None and credential["expires"] > self.store.time().strftime(TIME_FORMAT)

    def credential(self, kind: str, value: str) -> Record | None:
        """A code or token by its text."""
        return self.store.find("oauth_credential", token=value, kind=kind) if value else None

    def issue(self, kind: str, value: str, user_id: str, client_id: str, seconds: int, **more: str) -> Record:
        """Remember a new code or token; those long expired are forgotten on the way."""
        old = (self.store.time() - KEPT_AFTER_EXPIRY).strftime(TIME_FORMAT)
        for row in list(self.store.find_all("oauth_credential", user=user_id)):
            if row["expires"] < old:
                self.store.remove("oauth_credential", row["sys_id"])
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
        works = user and user["active"] == "true" and user["locked_out"] != "true"
        return user if works or self.switches.locked_keeps_tokens else None

    def person(self, user_name: str) -> Record | None:
        """A user as the switches have it."""
        found = self.store.find("sys_user", user_name=user_name) if user_name else None
        if found is not None and user_name == INTEGRATION_USER and self.switches.web_only:
            return found | {"web_service_access_only": "true"}
        return found
