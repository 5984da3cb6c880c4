"""Makes secrets for cookies and states, and hashes them for the database. Keeps none."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """256 unguessable bits, as letters, digits, hyphen and underscore."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What the database keeps of a token. Plain SHA-256 suffices for values that cannot be guessed."""
    return hashlib.sha256(token.encode()).hexdigest()
