"""Read secrets from files that settings named NAME_FILE point at, as orchestrators mount them. Keeps nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from app.core import setting_rules

ENDING = "_file"
# Keys and addresses are far shorter; a larger file is the wrong one.
LARGEST_FILE = 16_384


def read_secret_file(path: str) -> str:
    """The text of the file without the line break at its end. Raises ValueError with a sentence that shows no content."""
    # Docker and Kubernetes mount a secret as a file: https://docs.docker.com/compose/how-tos/use-secrets/
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name.
        why = getattr(error, "strerror", None) or "no such name"
        raise ValueError(f"names a file that cannot be read ({why})") from error
    if len(content) > LARGEST_FILE:
        raise ValueError(f"names a file that is larger than {LARGEST_FILE} bytes; a secret is not")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("names a file that is not UTF-8 text") from error
    if not text.strip():
        raise ValueError("names a file that is empty")
    return text.rstrip("\r\n")


class SecretFiles(PydanticBaseSettingsSource):
    """Gives every secret whose NAME_FILE is set, as the text of that file; a file that cannot be used as a ValueError."""

    def __init__(self, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._given: dict[str, str] = {}
        for source in reversed(sources):  # The first source counts for most.
            if isinstance(source, EnvSettingsSource):
                self._given |= {
                    name: value
                    for name, value in source.env_vars.items()
                    if value and setting_rules.without_quotes(value)
                }

    def get_field_value(self, _field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ANN401 - the base's signature.
        named = self._given.get(field_name + ENDING)
        if named is None or field_name not in secret_fields(self.settings_cls):
            return None, field_name, False
        try:
            if field_name in self._given:
                raise ValueError("is set as well; keep one of the two")
            return read_secret_file(setting_rules.without_quotes(named)), field_name, False
        except ValueError as error:
            return ValueError(f"{(field_name + ENDING).upper()} {error}"), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(None, name)[0] for name in self.settings_cls.model_fields}
        return {name: value for name, value in found.items() if value is not None}


def secret_fields(of: type[BaseSettings]) -> set[str]:
    """The fields whose type is a secret, or a list or an option of secrets."""

    def holds_secret(kind: object) -> bool:
        return kind is SecretStr or any(holds_secret(part) for part in get_args(kind))

    return {name for name, field in of.model_fields.items() if holds_secret(field.annotation)}
