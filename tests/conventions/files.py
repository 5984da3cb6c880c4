"""The files that the system rules speak of: what git knows or would know, so that no scratch file counts."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def project_files() -> tuple[Path, ...]:
    """Every file of the project; without git (an unpacked archive), every file outside the folders that set-up makes."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        names = [Path(name) for name in listed.stdout.split("\0") if name]
        return tuple(sorted(ROOT / name for name in set(names) if (ROOT / name).is_file()))
    made = {".git", ".venv", "node_modules", "vendor", "var", "__pycache__"}
    return tuple(
        sorted(path for path in ROOT.rglob("*") if path.is_file() and not made & set(path.relative_to(ROOT).parts))
    )


def files_with(*endings: str, under: str = "") -> list[Path]:
    """The project's files whose names end so, below a folder."""
    return [path for path in project_files() if path.name.endswith(endings) and path.is_relative_to(ROOT / under)]


def named(path: Path) -> str:
    """As people write it."""
    return path.relative_to(ROOT).as_posix()
