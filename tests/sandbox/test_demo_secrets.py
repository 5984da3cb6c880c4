"""Demo secrets are generated once and readable by the owner only."""

from __future__ import annotations

import stat
from pathlib import Path

from sandbox.demo_secrets import GENERATORS, generate_secrets, load_or_create_secrets


def test_secrets_are_readable_by_the_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "keys.json"
    first = load_or_create_secrets(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_or_create_secrets(file) == first
    assert set(first) == set(GENERATORS)
    assert list(file.parent.iterdir()) == [file]


def test_an_incomplete_set_is_completed_and_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text('{"ENTRA_CLIENT_SECRET": "known"}')
    keys = load_or_create_secrets(file)
    assert keys["ENTRA_CLIENT_SECRET"] == "known"
    assert set(keys) == set(GENERATORS)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_every_set_is_different() -> None:
    one, other = generate_secrets(), generate_secrets()
    assert not [name for name in one if one[name] == other[name]]
