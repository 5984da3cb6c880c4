"""The floors and rooms hold: every import contract of pyproject.toml is kept."""

from __future__ import annotations

import subprocess
import sys

from tests.house.files import ROOT


def test_import_contracts_are_kept() -> None:
    command = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
