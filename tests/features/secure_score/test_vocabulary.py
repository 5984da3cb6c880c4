"""Graph's spellings of levels, threats and tiers in one word each."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.features.secure_score.vocabulary import (
    Category,
    category_of,
    level_of,
    product_of,
    threats_of,
    tier_of,
    usual_delay,
)


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


@pytest.mark.parametrize(
    ("service", "product"),
    [("AzureAD", "Microsoft Entra ID"), (" exo ", "Exchange Online"), ("NewThing", "NewThing"), ("", "")],
)
def test_a_service_has_the_name_of_its_product_or_keeps_its_own(service: str, product: str) -> None:
    assert product_of(service) == product


@pytest.mark.fact("microsoft-graph 1.8")
@pytest.mark.parametrize(("service", "days"), [("MS Teams", 31), ("AzureAD", 7), ("EXO", 2), ("", 2)])
def test_the_usual_delay_depends_on_the_product(service: str, days: int) -> None:
    assert usual_delay(service) == timedelta(days=days)


@pytest.mark.fact("microsoft-graph edge-37")
@pytest.mark.parametrize(
    ("raw", "category"), [("Account", Category.IDENTITY), (" APPS ", Category.APPS), ("Containers", None), ("", None)]
)
def test_a_category_is_one_of_the_five_or_unknown(raw: str, category: Category | None) -> None:
    assert category_of(raw) == category
