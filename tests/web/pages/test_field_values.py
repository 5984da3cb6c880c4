"""The page for fixed values: lines are added, searched and removed without a script, and what is typed stays."""

from __future__ import annotations

import pytest

from tests.factories.connecting import said, trouble
from tests.factories.system import System

PAGE = "/servicenow/settings/fields/incident"


async def test_without_a_connection_there_is_nothing_to_fill(system: System) -> None:
    manager = await system.signed_in("manager")
    for address in (PAGE, f"{PAGE}/records/caller_id"):
        assert (await manager.get(address)).headers["location"] == "/servicenow/connect"


@pytest.mark.parametrize("role", ["sharer", "viewer"])
async def test_only_managers_see_and_save_fixed_values(system: System, role: str) -> None:
    browser = await system.signed_in(role)
    for method, address in (
        ("GET", PAGE), ("GET", f"{PAGE}/records/caller_id"), ("POST", PAGE), ("POST", "/servicenow/settings/fields/change/type"),
    ):  # fmt: skip
        assert (await browser.request(method, address)).status_code == 403


async def test_lines_are_added_searched_and_removed_and_what_is_typed_stays(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    page = await manager.get(PAGE)
    assert '<option value="caller_id">Caller' in page.text
    assert '<option value="short_description">' not in page.text
    typed = {"line:close_notes": "1", "value:close_notes": "Made by us", "add": "caller_id", "do": "add"}
    added = await manager.post(PAGE, data=typed)
    assert 'value="Made by us"' in added.text
    assert 'name="search:caller_id"' in added.text
    assert "the integration user" in added.text
    searched = await manager.post(
        PAGE, data=typed | {"line:caller_id": "1", "search:caller_id": "fred", "do": "search", "add": ""}
    )
    assert "Fred Luddy" in searched.text
    assert 'name="seen:caller_id" value="fred"' in searched.text
    assert 'value="Made by us"' in searched.text
    removed = await manager.post(PAGE, data=typed | {"line:caller_id": "1", "do": "remove:close_notes", "add": ""})
    assert "Made by us" not in removed.text
    assert 'name="line:caller_id"' in removed.text
    # Nothing of this was saved.
    assert "No column has a fixed value yet." in said(await manager.get(PAGE))


async def test_a_column_that_cannot_be_fixed_is_not_added_and_says_where_it_is_decided(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    page = await manager.get(f"{PAGE}?needed=Assignment%20group&needed=Cost%20center&needed=Category")
    words = said(page)
    assert "Choose the assignment group under Defaults for new tickets." in words
    assert "no column with the label Cost center" in words
    assert 'name="line:category"' in page.text
    assert 'name="line:assignment_group"' not in page.text
    added = await manager.post(PAGE, data={"do": "add", "add": "description"})
    assert "sends Description with every ticket" in said(added)


async def test_matches_are_listed_while_a_name_is_typed_and_no_query_is_widened(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    found = await manager.get(f"{PAGE}/records/caller_id", params={"search:caller_id": "fred"})
    assert "Fred Luddy" in found.text
    assert "<main" not in found.text
    assert found.text.count('type="radio"') == 2  # With the integration user.
    odd = await manager.get(f"{PAGE}/records/caller_id", params={"search:caller_id": "a^ORactive=true"})
    assert odd.text.count('type="radio"') == 1
    trouble(system, "bad_gateway", times=5, path="sys_user")
    assert (await manager.get(f"{PAGE}/records/caller_id", params={"search:caller_id": "x"})).status_code == 200


async def test_the_settings_page_shows_what_is_decided_and_leads_there(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    saved = await manager.post(PAGE, data={"do": "save", "line:close_notes": "1", "value:close_notes": "Made <by> us"})
    # With the anchor of the section: only there the note that it was saved is shown.
    assert saved.headers["location"] == f"{PAGE}?saved=values#values"
    settings = await manager.get("/servicenow/settings")
    assert f'href="{PAGE}"' in settings.text
    assert "Made &lt;by&gt; us" in settings.text
    assert "Change type: Normal" in said(settings)
