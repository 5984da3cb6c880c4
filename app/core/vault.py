"""Encrypt (seal) secrets at rest with keys that can be rotated. Never prints a secret."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from app.core import clock


class CannotOpen(Exception):
    """The sealed text was encrypted with a key that is not among ours, or for another purpose."""


@dataclass(frozen=True)
class Sealed:
    """A secret as the database keeps it: a Fernet token. Safe to store; still not printed."""

    token: str

    def __repr__(self) -> str:
        return "Sealed(…)"

    __str__ = __repr__


class Vault:
    """Seals with the first key and opens with any, so that keys are rotated by putting a new one in front.

    Fernet: AES-128-CBC with HMAC-SHA256 and a timestamp, https://cryptography.io/en/latest/fernet/
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are Fernet keys (32 bytes, base64url), newest first; at least one."""
        if not keys:
            raise ValueError("the vault needs at least one key")
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, purpose: str, secret: str) -> Sealed:
        """Encrypt for one purpose. It opens for no other purpose, so that sealed values cannot be swapped between columns."""
        now = int(clock.now().timestamp())
        return Sealed(self._fernet.encrypt_at_time(json.dumps([purpose, secret]).encode(), now).decode())

    def open(self, purpose: str, sealed: Sealed) -> str:
        """Decrypt. Raises CannotOpen when the key is gone or the purpose is another one."""
        try:
            sealed_for, secret = json.loads(self._fernet.decrypt(sealed.token.encode()))
        except (InvalidToken, ValueError) as error:
            raise CannotOpen from error
        if sealed_for != purpose:
            raise CannotOpen
        return str(secret)

    def reseal(self, sealed: Sealed) -> Sealed:
        """The same secret under the newest key. Raises CannotOpen when no key fits."""
        try:
            return Sealed(self._fernet.rotate(sealed.token.encode()).decode())
        except InvalidToken as error:
            raise CannotOpen from error

    def sealed_at(self, sealed: Sealed) -> datetime:
        """When it was first sealed, to the second; `reseal` keeps that time. Raises CannotOpen when no key fits."""
        try:
            return datetime.fromtimestamp(self._fernet.extract_timestamp(sealed.token.encode()), UTC)
        except InvalidToken as error:
            raise CannotOpen from error

    @staticmethod
    def new_key() -> str:
        """A random key in the form that VAULT_KEYS takes."""
        return Fernet.generate_key().decode()


class SealedText(TypeDecorator[Sealed]):
    """A column of `Sealed` values: storing a plain text raises TypeError, so no secret is stored in clear by mistake."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sealed | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the base's signature.
        if value is not None and not isinstance(value, Sealed):
            raise TypeError("this column takes sealed values only")
        return None if value is None else value.token

    def process_result_value(self, value: str | None, dialect: Dialect) -> Sealed | None:  # noqa: ARG002 - the base's signature.
        return None if value is None else Sealed(value)
