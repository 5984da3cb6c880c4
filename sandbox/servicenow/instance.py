"""State of one running instance: records, switches, faults, journal, sessions, OAuth credentials. Serves no request itself."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from sandbox.faults import FaultOrders
from sandbox.request_journal import RequestJournal
from sandbox.servicenow.api_sessions import ApiSessions
from sandbox.servicenow.demo_data import add_demo_data
from sandbox.servicenow.instance_settings import ServiceNowSandbox
from sandbox.servicenow.seeds import complete, seed
from sandbox.servicenow.store import TIME_FORMAT, Record, Store, new_sys_id
from sandbox.servicenow.switches import Switches
from sandbox.servicenow.table_schema import stamp

# Default lifespans of a client record, in seconds: docs/facts/servicenow.md#1-4-token-response
ACCESS_SECONDS = 1800
REFRESH_SECONDS = 8_640_000
CODE_SECONDS = 60
INTEGRATION_USER = "m365.integration"
# Expired tokens stay visible on the token page for this long.
KEPT_AFTER_EXPIRY = timedelta(days=1)


@dataclass
class SandboxInstance:
    """State shared by all request handlers."""

    settings: ServiceNowSandbox
    store: Store
    switches: Switches = field(default_factory=Switches)
    orders: FaultOrders = field(default_factory=FaultOrders)
    journal: RequestJournal = field(default_factory=RequestJournal)
    sessions: ApiSessions = field(default_factory=ApiSessions)
    spent: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Choice labels, cached until a row of sys_choice changes (`labels_version`).
    labels: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)
    labels_version: int = -1
    # The code an authenticator app would show; generated for each run.
    mfa_code: str = field(default_factory=lambda: f"{secrets.randbelow(1_000_000):06d}")

    def __post_init__(self) -> None:
        self.store.clock_error = lambda: timedelta(seconds=self.switches.clock_off_seconds)

    @classmethod
    def start(cls, settings: ServiceNowSandbox) -> SandboxInstance:
        """Open the store, seed it when it is empty, and register the settings' OAuth client."""
        instance = cls(settings, Store(settings.file))
        if not instance.store.is_empty and instance.store.find("sys_user_role", name="itil") is None:
            instance.store.clear()  # Written by a version in which roles were not records; it cannot be migrated.
        if instance.store.is_empty:
            seed(instance.store, settings)
        complete(instance.store)
        if settings.demo_data:
            add_demo_data(instance.store, settings.password)
        instance.register_client()
        return instance

    def reset(self) -> None:
        """Restore the initial state: records, tokens, switches, faults and journal."""
        self.store.clear()
        self.switches, self.orders, self.sessions = Switches(), FaultOrders(), ApiSessions()
        self.spent.clear()
        self.journal.clear()
        seed(self.store, self.settings)
        if self.settings.demo_data:
            add_demo_data(self.store, self.settings.password)
        self.register_client()

    def register_client(self) -> None:
        """Create or update the connector's Application Registry record."""
        # See docs/facts/servicenow.md#1-7-where-it-lives-in-the-product
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
        """Return an active client record, altered by the switches, or None."""
        found = self.store.find("oauth_entity", client_id=client_id) if client_id else None
        if found is None or found["active"] != "true" or self.switches.client_inactive:
            return None
        # A mismatch of one slash occurs in practice: docs/facts/servicenow.md#trap-21
        if self.switches.redirect_mismatch:
            found = found | {"redirect_url": ",".join(f"{url}/" for url in found["redirect_url"].split(","))}
        if self.switches.wrong_secret:
            found = found | {"client_secret": f"not-{found['client_secret']}"}
        return found

    def expires(self, seconds: int) -> str:
        """Return the time that many seconds from now, as stored."""
        return (self.store.time() + timedelta(seconds=seconds)).strftime(TIME_FORMAT)

    def is_live(self, credential: Record | None) -> bool:
        """Return whether a token or code exists and has not expired."""
        return credential is not None and credential["expires"] > self.store.time().strftime(TIME_FORMAT)

    def credential(self, kind: str, value: str) -> Record | None:
        return self.store.find("oauth_credential", token=value, kind=kind) if value else None

    def issue(self, kind: str, value: str, user_id: str, client_id: str, seconds: int, **more: str) -> Record:
        """Store a new code or token, and delete the user's long-expired ones."""
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
        """Return the user of an unexpired access token; None for an inactive or locked user."""
        # See docs/facts/servicenow.md#1-8-the-integration-user-the-central-contradiction (locked_keeps_tokens)
        credential = self.credential("access", access_token)
        if credential is None or not self.is_live(credential):
            return None
        user = self.store.get("sys_user", credential["user"])
        # See docs/facts/servicenow.md#1-8-the-integration-user-the-central-contradiction. Whether a lock ends existing tokens
        # is not documented, hence the switch.
        works = user and user["active"] == "true" and user["locked_out"] != "true"
        return user if works or self.switches.locked_keeps_tokens else None

    def user_by_name(self, user_name: str) -> Record | None:
        """Return a user by name, altered by the switches, or None."""
        found = self.store.find("sys_user", user_name=user_name) if user_name else None
        if found is not None and user_name == INTEGRATION_USER and self.switches.web_only:
            return found | {"web_service_access_only": "true"}
        return found
