"""Random tokens for cookies and OAuth states, and the hash that the database keeps of them. Stores nothing."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """256 random bits as base64url."""
    # ServiceNow takes no special characters in an OAuth state: docs/facts/servicenow.md#1-2-authorization-request
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """SHA-256 in hex, so that a copy of the database gives no session away."""
    # No salt and no slow hash: they protect values that can be guessed, and this one has 256 random bits.
    # https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html
    return hashlib.sha256(token.encode()).hexdigest()
