"""Encrypt (seal) secrets at rest with keys that can be rotated. Never prints a secret."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from app.core import clock


class CannotOpen(Exception):
    """The sealed text was encrypted with a key that is not among ours, or for another place."""


class SealedElsewhere(CannotOpen):
    """One of our keys fits, but the value was sealed for another row, column or origin, or for none (before 0018)."""


@dataclass(frozen=True)
class Context:
    """The place that a sealed value belongs to. `bound` holds further values of the row, such as the origin it is sent to."""

    table: str
    column: str
    row: str
    bound: tuple[str, ...] = ()

    @property
    def parts(self) -> list[str]:
        return [self.table, self.column, self.row, *self.bound]


@dataclass(frozen=True)
class Sealed:
    """A secret as the database keeps it: the key's fingerprint, a dot, a Fernet token. Safe to store; still not printed."""

    token: str

    @property
    def key(self) -> str:
        """The fingerprint of the key that sealed it; empty for a value of an earlier version. A hint, not authenticated."""
        fingerprint, dot, _ = self.token.partition(".")
        return fingerprint if dot else ""

    def __repr__(self) -> str:
        return "Sealed(…)"

    __str__ = __repr__


class Vault:
    """Seals with the first key and opens with any, so that keys are rotated by putting a new one in front.

    Fernet: AES-128-CBC with HMAC-SHA256 and a timestamp, https://cryptography.io/en/latest/fernet/. Fernet takes no
    associated data, so the place stands beside the secret inside the token: docs/decisions/0010-sealed-for-a-place.md
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are Fernet keys (32 bytes, base64url), newest first; at least one."""
        if not keys:
            raise ValueError("the vault needs at least one key")
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self.fingerprints = tuple(fingerprint_of(key) for key in keys)

    def seal(self, context: Context, secret: str) -> Sealed:
        """Encrypt for one place. It opens nowhere else, so that sealed values cannot be moved inside the database."""
        return self._sealed(context, secret, int(clock.now().timestamp()))

    def open(self, context: Context, sealed: Sealed) -> str:
        """Decrypt. Raises CannotOpen when the key is gone, SealedElsewhere when the place is another one."""
        sealed_for, secret = self._decrypted(sealed)
        if sealed_for != context.parts:
            raise SealedElsewhere
        return secret

    def reseal(self, context: Context, sealed: Sealed) -> Sealed:
        """The same secret under the newest key, first sealed when it was. Raises CannotOpen, as `open` does."""
        return self._sealed(context, self.open(context, sealed), self._second(sealed))

    def bind(self, context: Context, purpose: str, sealed: Sealed) -> Sealed | None:
        """A value of an earlier version, sealed for a purpose alone, for its place; None when it has that already.

        Only `python -m app migrate` calls this: the running product opens no value that has no place. Raises CannotOpen.
        """
        sealed_for, secret = self._decrypted(sealed)
        if sealed_for == context.parts:
            return None
        if sealed_for != purpose:
            raise SealedElsewhere
        return self._sealed(context, secret, self._second(sealed))

    def sealed_at(self, sealed: Sealed) -> datetime:
        """When it was first sealed, to the second; `reseal` keeps that time. Raises CannotOpen when no key fits."""
        return datetime.fromtimestamp(self._second(sealed), UTC)

    def _sealed(self, context: Context, secret: str, second: int) -> Sealed:
        content = json.dumps([context.parts, secret]).encode()
        return Sealed(f"{self.fingerprints[0]}.{self._fernet.encrypt_at_time(content, second).decode()}")

    def _decrypted(self, sealed: Sealed) -> tuple[list[str] | str, str]:
        try:
            sealed_for, secret = json.loads(self._fernet.decrypt(_fernet_token(sealed)))
        except (InvalidToken, ValueError) as error:
            raise CannotOpen from error
        return sealed_for, str(secret)

    def _second(self, sealed: Sealed) -> int:
        try:
            return self._fernet.extract_timestamp(_fernet_token(sealed))
        except InvalidToken as error:
            raise CannotOpen from error

    @staticmethod
    def new_key() -> str:
        """A random key in the form that VAULT_KEYS takes."""
        return Fernet.generate_key().decode()


def fingerprint_of(key: str) -> str:
    """12 hexadecimal digits that tell keys apart and reveal nothing of them: a key is 256 random bits."""
    return hashlib.sha256(b"security-center vault key:" + urlsafe_b64decode(key)).hexdigest()[:12]


def _fernet_token(sealed: Sealed) -> bytes:
    # Base64url has no dot. Values of earlier versions have no fingerprint in front.
    return sealed.token.rpartition(".")[2].encode()


class SealedText(TypeDecorator[Sealed]):
    """A column of `Sealed` values: storing a plain text raises TypeError, so no secret is stored in clear by mistake.

    `bound_to` names columns of the same table whose values the secret is bound to, besides its table, column and row:
    the origin that a token may be sent to.
    """

    impl = Text
    cache_ok = True

    def __init__(self, *bound_to: str) -> None:
        super().__init__()
        self.bound_to = bound_to

    def process_bind_param(self, value: Sealed | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the base's signature.
        if value is not None and not isinstance(value, Sealed):
            raise TypeError("this column takes sealed values only")
        return None if value is None else value.token

    def process_result_value(self, value: str | None, dialect: Dialect) -> Sealed | None:  # noqa: ARG002 - the base's signature.
        return None if value is None else Sealed(value)
