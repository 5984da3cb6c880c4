"""What a command says when the settings cannot be used: names, sentences and examples, and no value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.__main__ import main
from app.cli.read_settings import describe, read_settings
from app.settings import Settings
from tests.factories.settings import REQUIRED


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without .env, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_settings_that_are_right_are_read_without_a_sound(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    assert read_settings() is not None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"PORT": "http"}, "PORT: has to be a whole number. Example: PORT=8000"),
        ({"PORT": "0"}, "PORT: has to be 1 or more. Example: PORT=8000"),
        ({"METRICS_TOKEN": "short"}, "METRICS_TOKEN: has to be 16 characters or more. Example: METRICS_TOKEN="),
        ({"SESSION_HOURS": "169"}, "SESSION_HOURS: has to be 168 or less. Example: SESSION_HOURS=12"),
        ({"LOG_JSON": "perhaps"}, "LOG_JSON: has to be true or false. Example: LOG_JSON=true"),
        (
            {"LOG_LEVEL": "loud"},
            "LOG_LEVEL: has to be one of 'DEBUG', 'INFO', 'WARNING' or 'ERROR'. Example: LOG_LEVEL=INFO",
        ),
        ({"ENTRA_CLIENT_SECRET": ""}, "ENTRA_CLIENT_SECRET: is not set. Example: ENTRA_CLIENT_SECRET=the Value of"),
        (
            {"MANAGER_ROLES": "a,Security Reader"},
            "MANAGER_ROLES: entry 2 is the name of a role; write its role template ID",
        ),
    ],
)
def test_each_kind_of_mistake_has_a_sentence_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: dict[str, str], sentence: str
) -> None:
    for name, value in (REQUIRED | given).items():
        monkeypatch.setenv(name, value)
    assert main(["doctor"]) == 2
    assert f"  {sentence}" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["\u00fc=\u00fc".encode("latin-1"), b"\xff\xfeP\x00"])
def test_an_env_file_that_is_no_text_is_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / ".env").write_bytes(content)
    assert main(["migrate"]) == 2
    assert "the file .env is not UTF-8 text" in capsys.readouterr().err


def test_an_env_file_that_may_not_be_read_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("app.cli.read_settings.Settings", refuse)
    assert main(["migrate"]) == 2
    assert "the file .env gives no answer (Permission denied)" in capsys.readouterr().err


def test_a_kind_of_mistake_that_is_not_foreseen_is_told_in_the_librarys_words() -> None:
    assert describe({"loc": ("port",), "type": "odd", "msg": "Odd"}) == "PORT: Odd. Example: PORT=8000"
    assert describe({"loc": (), "type": "odd", "msg": "Odd"}) == "settings: Odd."
