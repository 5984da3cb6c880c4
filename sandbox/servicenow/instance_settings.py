"""Settings of one ServiceNow sandbox instance. Reads no environment and generates no secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServiceNowSandbox:
    """Settings of one instance. The caller generates client and passwords; no secret is in this code."""

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...]
    password: str
    file: Path | None = None
    family: str = "zurich"
    show_hints: bool = False
    demo_data: bool = False
    client_name: str = "Security + Compliance Connector"
