"""Prints the settings with which docker compose runs product and stand-ins together. Every secret is fresh."""

from __future__ import annotations

import secrets

from sandbox.demo_secrets import generate_secrets
from sandbox.ports import DEFAULT_PORTS

# One name for the stand-ins that works on both sides: inside, compose gives it to the sandbox; outside, browsers take
# every name under localhost for this machine (RFC 6761, 6.3).
NAME = "sandbox.localhost"


def settings_file() -> str:
    """The content of an ``.env`` file."""
    microsoft = f"http://{NAME}:{DEFAULT_PORTS['SANDBOX_MICROSOFT_PORT']}"
    settings = {
        "POSTGRES_PASSWORD": secrets.token_urlsafe(18),
        "PUBLIC_URL": f"http://localhost:{DEFAULT_PORTS['PORT']}",
        **generate_secrets(),
        "ENTRA_AUTHORITY": microsoft,
        "GRAPH_URL": microsoft,
        "SERVICENOW_ALLOWED_ORIGINS": f"http://{NAME}:{DEFAULT_PORTS['SANDBOX_SERVICENOW_PORT']}",
        "SANDBOX_SHOW_HINTS": "true",
    }
    return "\n".join(f"{name}={value}" for name, value in settings.items())
