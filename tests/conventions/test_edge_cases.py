"""Every edge case of Secure Score's facts has a test that carries its number; what is not offered is said."""

from __future__ import annotations

import re

from tests.conventions.files import ROOT

EDGE_CASES = range(1, 59)


def test_every_edge_case_has_a_test_of_its_number() -> None:
    named = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for numbers in re.findall(r"def test_edge((?:_\d\d)+)_", path.read_text(encoding="utf-8")):
            named |= {int(number) for number in numbers.split("_") if number}
    assert sorted(set(EDGE_CASES) - named) == []
    assert sorted(named - set(EDGE_CASES)) == []


def test_edge_58_the_portals_own_csv_is_not_imported_and_the_documents_say_so() -> None:
    said = (ROOT / "docs" / "secure-score.md").read_text(encoding="utf-8")
    assert "The portal’s own CSV export is not imported" in " ".join(said.split())
    routes = (ROOT / "app" / "web" / "pages" / "secure_score.py").read_text(encoding="utf-8")
    assert "UploadFile" not in routes
