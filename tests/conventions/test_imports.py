"""The layers hold: every import contract of pyproject.toml is kept, and time has one source."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.conventions.files import ROOT, files_with, named


def test_import_contracts_are_kept() -> None:
    command = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_clock_alone_tells_the_time() -> None:
    """Durations may be measured (`time.monotonic`); what time it is comes from app.core.clock, which tests set."""
    told = re.compile(r"\b(datetime\.(now|utcnow|today)|date\.today|time\.(time|localtime|gmtime))\(")
    elsewhere = [
        named(path)
        for path in files_with(".py", under="app")
        if path.name != "clock.py" and told.search(path.read_text(encoding="utf-8"))
    ]
    assert not elsewhere
