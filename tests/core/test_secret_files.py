"""Every secret may stand in a file that NAME_FILE names; what cannot be read is said without its content."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

from app.core.secret_files import LARGEST_FILE, read_secret_file, secret_fields
from app.core.setting_types import Keys
from app.settings import Settings
from tests.factories.settings import REQUIRED, read_from

VALUES = {
    "database_url": "postgresql://u:change-me@h:5432/db",
    "entra_client_secret": "from a file",
    "vault_keys": REQUIRED["VAULT_KEYS"],
    "metrics_token": "sixteen-letters-or-more",
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No .env of the developer's, and no setting of the environment."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def plain(value: object) -> str:
    """The secret or secrets of a setting."""
    if isinstance(value, tuple):
        return ",".join(plain(part) for part in value)
    assert isinstance(value, SecretStr)
    return value.get_secret_value()


def value_for(name: str) -> str:
    """A value that the setting takes; one of any letters for a secret that has no rule."""
    return VALUES.get(name, "from a file")


@pytest.mark.parametrize("name", sorted(secret_fields(Settings)))
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_every_secret_is_read_from_the_file_that_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, ending: str
) -> None:
    (tmp_path / "secret").write_bytes(value_for(name).encode() + ending.encode())
    given = REQUIRED | {name.upper(): "", f"{name.upper()}_FILE": str(tmp_path / "secret")}
    assert plain(getattr(read_from(monkeypatch, **given), name)) == value_for(name)


@pytest.mark.parametrize("name", sorted(secret_fields(Settings)))
def test_a_secret_that_is_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text(value_for(name), encoding="utf-8")
    given = {name.upper(): value_for(name), f"{name.upper()}_FILE": str(tmp_path / "secret")}
    with pytest.raises(ValidationError, match=f"{name.upper()}_FILE is set as well; keep one of the two"):
        read_from(monkeypatch, **given)


def test_a_name_in_env_files_counts_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file", encoding="utf-8")
    lines = REQUIRED | {"ENTRA_CLIENT_SECRET": "", "ENTRA_CLIENT_SECRET_FILE": f'"{tmp_path / "secret"}"'}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
    assert Settings().entra_client_secret.get_secret_value() == "from a file"
    monkeypatch.setenv("ENTRA_CLIENT_SECRET", "from the environment")
    with pytest.raises(ValidationError, match="keep one of the two"):
        Settings()


def test_a_file_may_hold_one_key_in_each_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = [REQUIRED["VAULT_KEYS"], REQUIRED["VAULT_KEYS"][::-1].removeprefix("=") + "="]
    (tmp_path / "keys").write_text("\n".join(keys) + "\n", encoding="utf-8")
    found = read_from(monkeypatch, VAULT_KEYS="", VAULT_KEYS_FILE=str(tmp_path / "keys")).vault_keys
    assert [key.get_secret_value() for key in found] == keys


def test_a_file_for_what_is_no_secret_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://a.example", encoding="utf-8")
    assert read_from(monkeypatch, PUBLIC_URL_FILE=str(tmp_path / "url")).public_url == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"x" * (LARGEST_FILE + 1), "is larger than"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_by_the_settings_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ValidationError) as refused:
        read_from(monkeypatch, ENTRA_CLIENT_SECRET="", ENTRA_CLIENT_SECRET_FILE=str(tmp_path / "secret"))
    [problem] = refused.value.errors()
    assert problem["loc"] == ("entra_client_secret",)
    assert "ENTRA_CLIENT_SECRET_FILE names a file that" in problem["msg"]
    assert words in problem["msg"]


def test_a_folder_or_an_impossible_name_is_no_file(tmp_path: Path) -> None:
    for name in (str(tmp_path), "a\0b", "x" * 5000):
        with pytest.raises(ValueError, match="cannot be read"):
            read_secret_file(name)


def test_a_byte_order_mark_is_no_part_of_the_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xef\xbb\xbfsecret\n")
    assert read_secret_file(str(tmp_path / "secret")) == "secret"


def test_secrets_are_found_by_their_type() -> None:
    class Sample(BaseSettings):
        plain: str
        secret: SecretStr
        optional: SecretStr | None = None
        several: Keys

    assert secret_fields(Sample) == {"secret", "optional", "several"}
    assert {"database_url", "entra_client_secret", "vault_keys"} <= secret_fields(Settings)
