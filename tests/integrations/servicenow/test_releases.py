"""ServiceNow's release families are compared by their order."""

from __future__ import annotations

import pytest

from app.integrations.servicenow.releases import FAMILIES, is_supported, release_name


@pytest.mark.fact("servicenow 7")
def test_releases_are_compared_by_their_order_and_never_by_letter() -> None:
    assert list(FAMILIES)[-3:] == ["zurich", "australia", "brazil"]
    assert all(is_supported(family) for family in FAMILIES)
    assert is_supported("Jakarta") is False
    assert is_supported("berlin") is False  # Twelve years older than Brazil, and a letter before it.
    assert is_supported("") is None
    assert is_supported("canada") is True  # A name that is yet to come.
    assert [release_name(text) for text in ("newyork", "washingtondc", "canada", "")] == [
        "New York", "Washington DC", "Canada", "",
    ]  # fmt: skip
