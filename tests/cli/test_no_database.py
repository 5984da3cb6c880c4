"""A database that a command cannot use is a sentence, with no password in it, and exit status 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.__main__ import main
from app.settings import Settings
from tests.factories.settings import REQUIRED

PASSWORD = "s3cr3t-word"


@pytest.mark.parametrize("command", ["migrate", "sync", "rotate-keys"])
def test_a_closed_port_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in (REQUIRED | {"DATABASE_URL": f"postgresql://u:{PASSWORD}@127.0.0.1:9/db"}).items():
        monkeypatch.setenv(name, value)
    assert main([command]) == 1
    said = capsys.readouterr().err
    assert "The database does not answer: " in said
    assert "port 9 failed: Connection refused" in said
    assert "@ is written %40" in said
    assert "Traceback" not in said
    assert PASSWORD not in said
