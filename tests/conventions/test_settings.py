"""Every setting is documented where people look, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.settings import Settings
from tests.conventions.files import ROOT

# The README explains these too; they belong to the demo, not to the product.
SANDBOX = re.compile(r"SANDBOX_[A-Z_]+")


def _settings() -> set[str]:
    return {name.upper() for name in Settings.model_fields}


def _table() -> dict[str, str]:
    """Setting to its row in the README's configuration tables."""
    rows = re.findall(r"^\| `([A-Z_]+)` \|(.*)\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    return dict(rows)


def test_readme_has_a_row_for_every_setting_and_no_other() -> None:
    assert {name for name in _table() if not SANDBOX.fullmatch(name)} == _settings()


def test_readme_names_every_default() -> None:
    missing = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if field.is_required() or default is None or isinstance(default, tuple):
            continue
        text = str(default.value if hasattr(default, "value") else default)
        wanted = text.lower() if isinstance(default, bool) else text
        if f"`{wanted}`" not in _table()[name.upper()]:
            missing.append(f"{name.upper()}={wanted}")
    assert not missing, f"the README's table does not say these defaults: {missing}"


@pytest.mark.parametrize("file", [".env.example"])
def test_example_has_every_setting_once_and_no_other(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    found = re.findall(r"^#?([A-Z][A-Z_]+)=", text, re.MULTILINE)
    assert len(found) == len(set(found))
    assert set(found) - {"POSTGRES_PASSWORD"} == _settings()


def test_example_holds_no_secret() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    given = dict(re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", text, re.MULTILINE))
    for name in ("ENTRA_CLIENT_SECRET", "VAULT_KEYS", "POSTGRES_PASSWORD"):
        assert not given[name]


def test_every_setting_says_what_it_means() -> None:
    assert not [name for name, field in Settings.model_fields.items() if not field.description]


def test_compose_and_image_mention_only_known_settings() -> None:
    # PGPASSWORD is read by PostgreSQL's own library, wherever an address holds no password.
    known = _settings() | {"POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "PGPASSWORD"}
    for path in (Path("docker-compose.yml"), Path("Dockerfile")):
        used = set(re.findall(r"^\s+([A-Z][A-Z_]+):", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))
        assert {name for name in used if not SANDBOX.fullmatch(name)} <= known
