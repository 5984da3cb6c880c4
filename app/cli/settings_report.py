"""Every setting in force, where it comes from, and what to know about it. Shows no secret and changes nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from enum import Enum

from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from app.core.secret_files import ENDING, secret_fields
from app.core.setting_rules import without_quotes
from app.setting_notices import setting_notices
from app.settings import Settings

# Read by compose and by the demo from the same file.
OF_OTHERS = ("postgres_", "sandbox_")


def settings_report(settings: Settings) -> Iterator[str]:
    """One line for each setting: its name, value and source."""
    origins = Origins()
    for name in type(settings).model_fields:
        yield f"{name.upper()}={shown(settings, name)}  ({origins.of(name)})"


def notices_report(settings: Settings) -> tuple[list[str], int]:
    """The lines on what is worth knowing, and how many of them need a person."""
    notices = setting_notices(settings)
    lines = [f"[{'problem' if notice.is_problem else 'note'}] {notice.message}" for notice in notices]
    lines += [f"[note] {sentence}" for sentence in Origins().unknown()]
    return lines or ["Nothing about them stands out."], sum(notice.is_problem for notice in notices)


def shown(settings: Settings, name: str) -> str:
    """The value as it would be written in .env; of a secret, only whether there is one."""
    value = getattr(settings, name)
    if name in secret_fields(type(settings)):
        if not value:
            return "not set"
        count = f", {len(value)} of them" if isinstance(value, tuple) and len(value) > 1 else ""
        return f"set (not shown{count})"
    if value is None or value == ():
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return str(value.value if isinstance(value, Enum) else value)


class Origins:
    """Where settings come from, read once: the same sources in the same order as Settings has them."""

    def __init__(self) -> None:
        self._environment = EnvSettingsSource(Settings).env_vars
        self._file = DotEnvSettingsSource(Settings).env_vars

    def of(self, name: str) -> str:
        """In words, for one setting."""
        for source, given in (("environment", self._environment), (".env", self._file)):
            if _is_given(given, name + ENDING) and name in secret_fields(Settings):
                return f"{(name + ENDING).upper()}, {source}"
        for source, given in (("environment", self._environment), (".env", self._file)):
            if _is_given(given, name) or (name in given and name.endswith("_roles")):
                return source
        return "default"

    def unknown(self) -> Iterator[str]:
        """A sentence for each line of .env that names no setting, and for each variable that nearly names one."""
        known = set(Settings.model_fields) | {name + ENDING for name in secret_fields(Settings)}
        for name in self._file:
            if name not in known and not name.startswith(OF_OTHERS):
                yield f"{name.upper()} in .env is no setting of this version.{_meant(name, known)}"
        for name in self._environment:
            if name not in known and name not in self._file and not name.startswith(OF_OTHERS) and _meant(name, known):
                yield f"{name.upper()} in the environment is no setting.{_meant(name, known)}"


def _is_given(given: Mapping[str, str | None], name: str) -> bool:
    return without_quotes(given.get(name) or "") != ""


def _meant(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    return f" Is {close[0].upper()} meant?" if close else ""
