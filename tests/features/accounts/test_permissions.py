"""Roles: their order, what each includes, and how they follow from what Entra ID reports."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from uuid import uuid4

import pytest

from app.features.accounts.permissions import NO_ROLE, ROLE_TEXTS, Role, Viewer, role_of
from app.resources import ProductConfig
from app.settings import Settings

CONFIG = ProductConfig(
    public_url="http://security-center.test",
    tenant_id="",
    shown_tenant_id="",
    servicenow_allowed_origins=(),
    role_ids={"viewer": frozenset({"v", "Reader"}), "sharer": frozenset({"s"}), "manager": frozenset({"m"})},
    session_hours=12,
)


def test_each_role_is_greater_than_the_ones_before_it() -> None:
    for weaker, stronger in pairwise(Role):
        assert weaker < stronger
        assert weaker <= stronger
        assert stronger > weaker
        assert stronger >= weaker
        assert not stronger < weaker
        assert not weaker > stronger
    assert sorted([Role.MANAGER, Role.VIEWER, Role.SHARER]) == list(Role)
    assert max(Role) is Role.MANAGER


@pytest.mark.parametrize("role", Role)
def test_a_role_is_as_great_as_itself(role: Role) -> None:
    assert role <= role
    assert role >= role
    assert not role < role
    assert not role > role


def test_a_role_is_compared_with_roles_only() -> None:
    with pytest.raises(ValueError, match="guest"):
        _ = Role.VIEWER < "guest"


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ([], None),
        (["unknown", ""], None),
        (["viewer", "manager"], None),  # A role's own name is no id.
        (["v"], Role.VIEWER),
        (["Reader"], Role.VIEWER),
        (["s"], Role.SHARER),
        (["m"], Role.MANAGER),
        (["v", "m", "s", "unknown"], Role.MANAGER),
        (["S"], None),
    ],
)
def test_the_strongest_role_that_is_reported_counts(reported: list[str], expected: Role | None) -> None:
    assert role_of(reported, CONFIG) is expected
    assert role_of(reversed(reported), CONFIG) is expected


def test_a_role_without_holders_is_given_to_no_person() -> None:
    assert role_of(["m"], replace(CONFIG, role_ids={})) is None


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (None, (False, False, False)),
        (Role.VIEWER, (True, False, False)),
        (Role.SHARER, (True, True, False)),
        (Role.MANAGER, (True, True, True)),
    ],
)
def test_a_role_includes_the_weaker_ones(role: Role | None, may: tuple[bool, bool, bool]) -> None:
    viewer = Viewer(uuid4(), "", "", "", "", role)
    assert (viewer.may_view, viewer.may_share, viewer.may_manage) == may
    assert tuple(viewer.has(needed) for needed in Role) == may
    assert viewer.texts is (ROLE_TEXTS[role] if role else NO_ROLE)


def test_every_role_has_its_texts_and_its_setting() -> None:
    assert set(ROLE_TEXTS) == set(Role)
    known = {name.removesuffix("_roles") for name in Settings.model_fields if name.endswith("_roles")}
    assert known == {str(role) for role in Role}
