"""The Entra ID and Graph sandbox for tests, with ids and secrets made for each run."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from sandbox.entra import PEOPLE, EntraSandbox
from sandbox.entra import EntraAccount as Person
from sandbox.microsoft import create_app
from sandbox.request_journal import JournalEntry
from sandbox.tenant.tenant_data import Tenant
from tests.factories.servers import serve

NEWEST = date(2026, 11, 19)
CONTEXT = ssl.create_default_context()
PATIENCE = 60
MANAGER, SHARER, VIEWER, OUTSIDER = PEOPLE


@dataclass
class SandboxMicrosoft:
    """A running Entra ID and Graph sandbox."""

    url: str
    settings: EntraSandbox
    tenant: Tenant

    def app_token(self) -> str:
        """A token of the application itself, for Graph."""
        form = {
            "grant_type": "client_credentials", "scope": f"{self.url}/.default",
            "client_id": self.settings.client_id, "client_secret": self.settings.client_secret,
        }  # fmt: skip
        url = f"{self.url}/{self.settings.tenant_id}/oauth2/v2.0/token"
        return str(
            httpx.post(url, data=form, verify=CONTEXT, timeout=PATIENCE).raise_for_status().json()["access_token"]
        )

    def control(self, what: str, /, **order: Any) -> None:
        """Call the control API; fails when the sandbox refuses."""
        answer = httpx.post(f"{self.url}/_sandbox/graph/{what}", json=order, verify=CONTEXT, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text

    def fault(self, name: str, **more: Any) -> None:
        """Order a fault: see `sandbox.graph_faults.GraphFault` for count, list, page and method."""
        self.control("faults", name=name, **more)

    def calls(self, path: str = "") -> list[JournalEntry]:
        """The requests received so far, oldest first."""
        return [entry for entry in self.tenant.journal if path in entry.path]


@contextmanager
def running_microsoft(
    redirect_uri: str = "http://127.0.0.1:1/sign-in/callback", certificate: Path | None = None
) -> Iterator[SandboxMicrosoft]:
    """A sandbox with new IDs and secrets; with a certificate, over TLS."""
    settings = EntraSandbox(
        tenant_id=str(uuid4()),
        client_id=str(uuid4()),
        client_secret=secrets.token_urlsafe(16),
        redirect_uris=(redirect_uri,),
    )
    app = create_app(settings, NEWEST)
    with serve(app, certificate) as url:
        yield SandboxMicrosoft(url, settings, app.state.tenant)


__all__ = ["MANAGER", "NEWEST", "OUTSIDER", "SHARER", "VIEWER", "Person", "SandboxMicrosoft", "running_microsoft"]
