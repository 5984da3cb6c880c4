"""Every setting is documented where people look, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.core.secret_files import secret_fields
from app.settings import Settings
from tests.conventions.files import ROOT
from tests.factories.settings import some_settings

# The README explains these too; they belong to the demo, not to the product.
SANDBOX = re.compile(r"SANDBOX_[A-Z_]+")


def _settings() -> set[str]:
    return {name.upper() for name in Settings.model_fields}


def _table() -> dict[str, str]:
    """Setting to its row in the README's configuration tables."""
    rows = re.findall(r"^\| `([A-Z_]+)` \|(.*)\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    return dict(rows)


def test_readme_has_a_row_for_every_setting_and_no_other() -> None:
    assert {name for name in _table() if not SANDBOX.fullmatch(name)} - {"NAME_FILE"} == _settings()


def test_readme_names_every_default() -> None:
    missing = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if field.is_required() or default in (None, ()) or name.endswith("_roles"):  # Roles: tools/list_roles.py.
            continue
        text = ",".join(default) if isinstance(default, tuple) else str(getattr(default, "value", default))
        wanted = text.lower() if isinstance(default, bool) else text
        if f"`{wanted}`" not in _table()[name.upper()]:
            missing.append(f"{name.upper()}={wanted}")
    assert not missing, f"the README's table does not say these defaults: {missing}"


@pytest.mark.parametrize("file", [".env.example"])
def test_example_has_every_setting_once_and_no_other(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    found = re.findall(r"^#?([A-Z][A-Z_]+)=", text, re.MULTILINE)
    assert len(found) == len(set(found))
    assert set(found) - {"POSTGRES_PASSWORD", "POSTGRES_IMAGE"} == _settings()  # Compose reads these two itself.


def test_example_holds_no_secret() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    given = dict(re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", text, re.MULTILINE))
    for name in ("ENTRA_CLIENT_SECRET", "VAULT_KEYS", "POSTGRES_PASSWORD"):
        assert not given[name]


def test_every_setting_says_what_it_means() -> None:
    assert not [name for name, field in Settings.model_fields.items() if not field.description]


def test_every_setting_has_an_example_that_it_takes() -> None:
    lacking = [name for name, field in Settings.model_fields.items() if not field.examples]
    assert not lacking
    # Of these the example says where the value is found.
    described = {"entra_client_secret", "vault_keys", "metrics_token"}
    examples = {name: field.examples[0] for name, field in Settings.model_fields.items() if field.examples}
    read = some_settings(**{name: example for name, example in examples.items() if name not in described})
    assert read.port == int(examples["port"])


def test_every_secret_may_stand_in_a_file_and_both_documents_say_so() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    row = _table().get("NAME_FILE", "")
    for name in secret_fields(Settings):
        assert f"`{name.upper()}_FILE`" in row
        assert f"{name.upper()}_FILE" in example


def test_compose_and_image_mention_only_known_settings() -> None:
    # PGPASSWORD is read by PostgreSQL's own library, wherever an address holds no password.
    known = _settings() | {"POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "PGPASSWORD"}
    for path in (Path("docker-compose.yml"), Path("Dockerfile")):
        used = set(re.findall(r"^\s+([A-Z][A-Z_]+):", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))
        assert {name for name in used if not SANDBOX.fullmatch(name)} <= known
