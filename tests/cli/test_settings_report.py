"""`python -m app check-settings`: every setting in force and where it comes from, and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.__main__ import main
from app.core.secret_files import secret_fields
from app.settings import Settings
from tests.factories.settings import REQUIRED

PASSWORD = "s3cr3t-word"
GIVEN = REQUIRED | {
    "DATABASE_URL": f"postgresql://u:{PASSWORD}@h/db", "ENTRA_CLIENT_SECRET": PASSWORD,
    "PUBLIC_URL": "https://a.example", "TRUSTED_PROXIES": "10.0.0.5",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without .env, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def write_env(folder: Path, **lines: str) -> None:
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")


def test_every_setting_is_shown_with_its_source_and_secrets_are_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_env(tmp_path, **(GIVEN | {"PORT": "8001", "LOG_LEVEL": "", "SESSION_HOURS": "8", "VIEWER_ROLES": ""}))
    monkeypatch.setenv("SESSION_HOURS", "2")
    assert main(["check-settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = dict(line.split("=", 1) for line in lines if "=" in line.split(" ")[0])
    assert set(shown) == {name.upper() for name in Settings.model_fields}
    assert shown["PORT"] == "8001  (.env)"
    assert shown["SESSION_HOURS"] == "2  (environment)"
    assert shown["LOG_LEVEL"] == "INFO  (default)"
    assert shown["LOG_JSON"] == "false  (default)"
    assert shown["MICROSOFT_CLOUD"] == "global  (default)"
    assert shown["VIEWER_ROLES"] == "not set  (.env)"
    for name in secret_fields(Settings):
        assert shown[name.upper()].startswith(("set (not shown)  (.env)", "not set"))
    assert PASSWORD not in "\n".join(lines)
    assert REQUIRED["VAULT_KEYS"] not in "\n".join(lines)
    assert lines[-1] == "[note] VIEWER_ROLES is empty, so no one has that role."


def test_a_secret_from_a_file_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text(f"{REQUIRED['VAULT_KEYS']}\n{REQUIRED['VAULT_KEYS']}\n", encoding="utf-8")
    write_env(tmp_path, **(GIVEN | {"VAULT_KEYS": "", "VAULT_KEYS_FILE": str(tmp_path / "keys")}))
    assert main(["check-settings"]) == 0
    assert "VAULT_KEYS=set (not shown, 2 of them)  (VAULT_KEYS_FILE, .env)" in capsys.readouterr().out
    monkeypatch.setenv("VAULT_KEYS_FILE", str(tmp_path / "keys"))
    assert main(["check-settings"]) == 0
    assert "(VAULT_KEYS_FILE, environment)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "status"),
    [({}, 0), ({"TRUSTED_PROXIES": ""}, 0), ({"PUBLIC_URL": "http://a.example"}, 1), ({"PORT": "x"}, 2)],
)
def test_the_exit_status_says_whether_a_person_is_needed(tmp_path: Path, given: dict[str, str], status: int) -> None:
    write_env(tmp_path, **(GIVEN | given))
    assert main(["check-settings"]) == status


def test_a_name_that_was_mistyped_is_noticed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_env(tmp_path, **GIVEN, TRUSTED_PROXY="10.0.0.6", POSTGRES_PASSWORD="x", SANDBOX_HOST="x", SOMETHING="x")
    monkeypatch.setenv("SESSION_HOUR", "2")
    monkeypatch.setenv("HOME", "/root")
    assert main(["check-settings"]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[note]")]
    assert notes == [
        "[note] TRUSTED_PROXY in .env is no setting of this version. Is TRUSTED_PROXIES meant?",
        "[note] SOMETHING in .env is no setting of this version.",
        "[note] SESSION_HOUR in the environment is no setting. Is SESSION_HOURS meant?",
    ]


def test_nothing_that_stands_out_is_said_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_env(tmp_path, **GIVEN)
    assert main(["check-settings"]) == 0
    assert capsys.readouterr().out.endswith("Nothing about them stands out.\n")
