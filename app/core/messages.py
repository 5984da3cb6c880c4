"""Messages that people read: translated when shown, storable until then. Days are spelled out, numbers are left as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from gettext import GNUTranslations, NullTranslations, translation
from pathlib import Path
from typing import Any

from babel.dates import format_date

DOMAIN = "messages"
LOCALES_FOLDER = Path(__file__).resolve().parents[2] / "locales"
SOURCE_LOCALE = "en"

_locale: ContextVar[str] = ContextVar("locale", default=SOURCE_LOCALE)
_catalogs: dict[str, NullTranslations] = {}


class Message:
    """A message with its values, not translated yet; ``str()`` gives it in the current locale.

    The source string is the gettext message id. Values are inserted with ``%(name)s``, after translation.
    `code` is a stable name for logic ("oauth.refresh_answer_lost"): sentences are edited and translated, codes are not,
    so code compares codes and never sentences (docs/decisions/0005-codes-not-sentences.md).
    """

    __slots__ = ("code", "message", "values")

    def __init__(self, message: str, values: Mapping[str, Any] | None = None, code: str | None = None) -> None:
        self.message = message
        self.values = dict(values or {})
        self.code = code

    def __str__(self) -> str:
        translated = catalog().gettext(self.message) if self.message else ""
        if not self.values:
            return translated.replace("%%", "%")
        return translated % {name: _as_text(value) for name, value in self.values.items()}

    def __repr__(self) -> str:
        return f"Message({self.message!r}, {self.values!r})"

    def __eq__(self, other: object) -> bool:
        # Whether both read the same, for tests and for dataclasses that hold messages. `tools/measure_code.py --check` refuses
        # logic that uses it.
        return isinstance(other, Message) and (self.message, self.values) == (other.message, other.values)

    def __hash__(self) -> int:
        return hash((self.message, tuple(sorted((name, str(value)) for name, value in self.values.items()))))

    def to_json(self) -> dict[str, Any]:
        """As the database keeps it: ``{"message": source string, "values": {name: string}}``, and "code" if it has one.

        A day is stored as ``{"day": "2026-11-28"}``.
        """
        code = {} if self.code is None else {"code": self.code}
        return code | {
            "message": self.message,
            "values": {
                name: value.to_json() if isinstance(value, Message) else _as_json(value)
                for name, value in self.values.items()
            },
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Message:
        """The message that `to_json` stored; nested messages come back as messages."""
        values = {
            name: _from_json(value) if isinstance(value, Mapping) else value
            for name, value in stored.get("values", {}).items()
        }
        return cls(stored["message"], values, stored.get("code"))


def _as_text(value: object) -> str:
    # A moment is a date in Python, and has a zone to be named, so only days are spelled out.
    if isinstance(value, date) and not isinstance(value, datetime):
        return format_date(value, "d MMM y", locale=current_locale())
    return str(value)


def _as_json(value: object) -> object:
    if isinstance(value, date) and not isinstance(value, datetime):
        return {"day": value.isoformat()}
    return str(value)


def _from_json(stored: Mapping[str, Any]) -> Message | date:
    return date.fromisoformat(stored["day"]) if "day" in stored else Message.from_json(stored)


def T(message: str, /, *, code: str | None = None, **values: Any) -> Message:  # noqa: ANN401, N802 - Babel looks for T.
    """A message to be translated when it is shown: ``T("Sent to %(instance)s.", instance=name)``."""
    return Message(message, values, code)


def load_catalog(locale: str) -> NullTranslations:
    """The compiled messages of a locale; empty for the source locale and for those without a file."""
    if locale not in _catalogs:
        try:
            found: NullTranslations | GNUTranslations = translation(DOMAIN, LOCALES_FOLDER, [locale])
        except FileNotFoundError:
            found = NullTranslations()
        _catalogs[locale] = found
    return _catalogs[locale]


def catalog() -> NullTranslations:
    """The messages in the language of the moment."""
    return load_catalog(_locale.get())


def current_locale() -> str:
    """The language of the moment, as a BCP 47 tag with an underscore (``en``, ``ko``)."""
    return _locale.get()


@contextmanager
def use_locale(locale: str) -> Iterator[None]:
    """Within the block, texts come out in this language."""
    token = _locale.set(locale)
    try:
        yield
    finally:
        _locale.reset(token)
