"""Files stay small enough to be read in one go."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from tests.conventions.files import files_with, named


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(
    ("endings", "under", "limit"),
    [
        pytest.param((".py",), "", 400, id="python"),
        pytest.param((".html",), "", 200, id="templates"),
        pytest.param((".js", ".mjs"), "", 150, id="scripts"),
    ],
)
def test_no_file_is_too_long(endings: tuple[str, ...], under: str, limit: int) -> None:
    too_long = [
        f"{named(path)}: {_lines(path)}"
        for path in files_with(*endings, under=under)
        if _lines(path) > limit and "versions" not in path.parts
    ]
    assert not too_long, f"longer than {limit} lines; split by what changes for different reasons: {too_long}"


def test_the_usual_file_of_the_product_is_short() -> None:
    sizes = [_lines(path) for path in files_with(".py", under="app") if path.name != "__init__.py"]
    assert median(sizes) <= 160
