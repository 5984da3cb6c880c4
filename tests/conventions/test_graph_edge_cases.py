"""Every edge case of Secure Score's facts has a test that is marked with it; what is not offered is documented."""

from __future__ import annotations

import pytest

from tests.conventions.files import ROOT
from tools.list_facts import markers, project_sources

# docs/facts/microsoft-graph.md#edge-1 to docs/facts/microsoft-graph.md#edge-58
EDGE_CASES = {f"microsoft-graph edge-{number}" for number in range(1, 59)}


def test_every_edge_case_has_a_test_that_is_marked_with_it() -> None:
    marked = {marker.id for marker in markers(project_sources())}
    assert sorted(EDGE_CASES - marked) == []


@pytest.mark.fact("microsoft-graph edge-58")
def test_the_portals_own_csv_is_not_imported_and_the_documents_say_so() -> None:
    document = (ROOT / "docs" / "secure-score.md").read_text(encoding="utf-8")
    assert "The portal’s own CSV export is not imported" in " ".join(document.split())
    routes = (ROOT / "app" / "web" / "pages" / "secure_score.py").read_text(encoding="utf-8")
    assert "UploadFile" not in routes
