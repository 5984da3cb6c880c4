"""Generate the demo's secrets at the first start and store them readable by the owner only. Contains no secret itself."""

from __future__ import annotations

import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

# Keyed by environment variable. Variables that the product reads too carry the product's own names.
GENERATORS: dict[str, Callable[[], str]] = {
    "VAULT_KEYS": lambda: urlsafe_b64encode(os.urandom(32)).decode(),
    "ENTRA_TENANT_ID": lambda: str(uuid4()),
    "ENTRA_CLIENT_ID": lambda: str(uuid4()),
    "ENTRA_CLIENT_SECRET": lambda: secrets.token_urlsafe(24),
    "SANDBOX_SERVICENOW_CLIENT_ID": lambda: secrets.token_hex(16),
    "SANDBOX_SERVICENOW_CLIENT_SECRET": lambda: secrets.token_urlsafe(24),
    "SANDBOX_SERVICENOW_PASSWORD": lambda: secrets.token_urlsafe(9),
}


def generate_secrets(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a complete set: values in `given` are kept, missing ones are generated."""
    known = given or {}
    return {name: known.get(name) or make() for name, make in GENERATORS.items()}


def load_or_create_secrets(file: Path) -> dict[str, str]:
    """Return the set stored in `file`; create or complete the file (mode 0600) when values are missing."""
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    keys = generate_secrets(stored)
    if keys != stored:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(keys, indent=2) + "\n", encoding="utf-8")
        fresh.replace(file)
    return keys
