"""Graph's spellings of levels, threats and tiers in one word each."""

from __future__ import annotations

import pytest

from app.features.secure_score.vocabulary import level_of, threats_of, tier_of


@pytest.mark.fact("microsoft-graph edge-36")
@pytest.mark.parametrize(
    ("raw", "level"),
    [
        ("low", "low"),
        ("Low", "low"),
        ("medium", "medium"),
        ("Moderate", "medium"),
        (" HIGH ", "high"),
        ("Unknown", "unknown"),
        ("", "unknown"),
        ("severe", "unknown"),
    ],
)
def test_levels_in_four_words(raw: str, level: str) -> None:
    assert level_of(raw) == level


@pytest.mark.fact("microsoft-graph edge-38")
def test_threats_and_tiers_in_one_spelling() -> None:
    assert threats_of(["Account breach", "Account Breach", "accountBreach", " ", "Password Cracking"]) == [
        "Account breach", "Password cracking",
    ]  # fmt: skip
    assert tier_of("Defense In Depth") == tier_of("Defense in Depth") == "Defense in depth"
