"""Print the `.env` file with which docker compose runs the product against the sandbox. Every secret is newly generated."""

from __future__ import annotations

import secrets

from sandbox.demo_secrets import generate_secrets
from sandbox.ports import DEFAULT_PORTS

# One host name that resolves on both sides: compose aliases it to the sandbox container, and browsers resolve every
# name under localhost to loopback (https://www.rfc-editor.org/rfc/rfc6761#section-6.3).
NAME = "sandbox.localhost"


def settings_file() -> str:
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
