"""Secrets are made once, kept for the owner's eyes, and never known in advance."""

from __future__ import annotations

import stat
from pathlib import Path

from sandbox.keys import MADE_BY, kept_keys, make_keys


def test_keys_are_kept_for_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "keys.json"
    first = kept_keys(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept_keys(file) == first
    assert set(first) == set(MADE_BY)
    assert list(file.parent.iterdir()) == [file]


def test_a_kept_set_from_before_is_completed_and_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text('{"ENTRA_CLIENT_SECRET": "known"}')
    keys = kept_keys(file)
    assert keys["ENTRA_CLIENT_SECRET"] == "known"
    assert set(keys) == set(MADE_BY)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_every_set_is_another() -> None:
    one, other = make_keys(), make_keys()
    assert not [name for name in one if one[name] == other[name]]
