"""Credentials in a request: the Basic header, and users by name and password. Knows no token and no page."""

from __future__ import annotations

import secrets
from base64 import b64decode

from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.store import Record


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Return name and secret of an Authorization header of scheme Basic, or None."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (name, secret) if colon else None


def password_fits(user: Record, password: str) -> bool:
    """Return whether an active user who is not locked out has this password."""
    works = user["active"] == "true" and user["locked_out"] != "true"
    return works and bool(password) and secrets.compare_digest(user["user_password"].encode(), password.encode())


def user_by_password(instance: SandboxInstance, user_name: str, password: str) -> Record | None:
    """Return the user with this name and password, also one marked web-service-access-only."""
    user = instance.user_by_name(user_name)
    return user if user is not None and password_fits(user, password) else None


def user_by_basic(instance: SandboxInstance, header: str) -> Record | None:
    """Return the user of a Basic header, where the instance takes Basic on its APIs."""
    # Refused on new instances: docs/facts/servicenow.md#1-8-the-integration-user-the-central-contradiction
    given = basic_credentials(header)
    return user_by_password(instance, *given) if given and instance.switches.basic_api_auth else None
