"""The Entra ID and Graph stand-in for tests, with ids and secrets made for each run."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from uuid import uuid4

from sandbox.entra import PEOPLE, EntraSandbox, Person
from sandbox.graph import Tenant
from sandbox.microsoft import create_app
from tests.factories.servers import serve

NEWEST = date(2026, 11, 19)
MANAGER, SHARER, VIEWER, STRANGER = PEOPLE


@dataclass
class Microsoft:
    """A running stand-in."""

    url: str
    settings: EntraSandbox
    tenant: Tenant


@contextmanager
def running_microsoft(redirect_uri: str = "http://127.0.0.1:1/sign-in/callback") -> Iterator[Microsoft]:
    """A stand-in with fresh ids."""
    settings = EntraSandbox(
        tenant_id=str(uuid4()),
        client_id=str(uuid4()),
        client_secret=secrets.token_urlsafe(16),
        redirect_uris=(redirect_uri,),
    )
    app = create_app(settings, NEWEST)
    with serve(app) as url:
        yield Microsoft(url, settings, app.state.tenant)


__all__ = ["MANAGER", "NEWEST", "SHARER", "STRANGER", "VIEWER", "Microsoft", "Person", "running_microsoft"]
