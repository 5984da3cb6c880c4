"""The pages of sharing several actions: one ticket each or one for all, previewed, and after single shares."""

from __future__ import annotations

import os
import re
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.core import clock
from app.features.connection.preferences import USUAL_DUE_DAYS, Preferences, keep_preferences
from app.features.secure_score.actions.browse_actions import Action
from app.features.tickets.models import Ticket
from app.features.tickets.sharing.bulk import MOST_AT_ONCE
from tests.factories.system import System
from tests.factories.tickets import an_action, calls, form_fields, know_actions, records, share_one

SOAK = bool(os.environ.get("SOAK"))


def several(count: int) -> list[Action]:
    return [an_action(f"control_{number:03d}", score_impact=0.1 * number) for number in range(count)]


def query(actions: list[Action]) -> str:
    return "&".join(f"action={action.control_id}" for action in actions)


def form_of(html: str) -> dict[str, list[str]]:
    """The bulk form as a browser would send it: hidden fields, ticked boxes."""
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html):
        fields.setdefault(name, []).append(value)
    fields["action_hidden"] = fields.get("action", [])
    fields["action"] = re.findall(r'<input type="checkbox" name="action" value="([^"]*)" checked', html)
    return fields


async def test_one_ticket_for_each_with_a_preview(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    actions = several(5)
    know_actions(monkeypatch, *actions)
    await system.connect()
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        page = await browser.get(f"/tickets/new?{query(actions)}&action=no_longer_there")
        for action in actions:
            assert action.title in page.text
        assert "Turn on the policy." in page.text
        assert "1 of the chosen actions is not known any more" in page.text
        sent = form_of(page.text) | {"kind": ["incident"], "how": ["each"], "due_date": ["2030-12-31"]}
        progress = await browser.post("/tickets/bulk", data=sent)
        assert progress.status_code == 200
        assert "0 of 5 shared" in progress.text
        await system.work()
        progress = await browser.get(str(progress.url))
        assert "5 of 5 shared" in progress.text
        assert "All done." in progress.text
        twice = await browser.post("/tickets/bulk", data=sent)
        assert "5 of 5 shared" in twice.text
        listed = await browser.get(f"/tickets?batch={str(progress.url).rsplit('/', 1)[1]}")
        assert "5 tickets" in listed.text
    assert len(records(system, "incident")) == 5
    assert {record["due_date"] for record in records(system, "incident")} == {"2030-12-31 12:00:00"}


async def test_an_administrators_defaults_decide_in_bulk_as_well(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions = several(3)
    know_actions(monkeypatch, *actions)
    connection = await system.connect()
    wanted = Preferences(
        kind="incident", priorities={"high": 1, "moderate": 1, "low": 2}, due_days=USUAL_DUE_DAYS | {2: 5}
    )
    async with system.resources.database.transaction() as session:
        await keep_preferences(session, connection.id, wanted)
    day = (clock.now() + timedelta(days=5)).date()
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        page = await browser.get(f"/tickets/new?{query(actions)}")
        assert '<option value="incident" selected>' in page.text
        one = await browser.get(f"/tickets/new?{query(actions)}&as=one")
        assert form_fields(one.text).items() >= {("kind", "incident"), ("priority", "2"), ("due_date", str(day))}
        sent = form_of(page.text) | {"kind": ["incident"], "how": ["each"]}
        assert (await browser.post("/tickets/bulk", data=sent)).status_code == 200
        await system.work()
    found = {(record["impact"], record["urgency"], record["due_date"][:10]) for record in records(system, "incident")}
    assert found == {("1", "2", str(day))}


async def test_those_already_shared_are_noted_and_not_ticked(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    actions = several(3)
    know_actions(monkeypatch, *actions)
    await system.connect()
    await share_one(system, action=actions[1])
    await system.work()
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        page = await browser.get(f"/tickets/new?{query(actions)}")
        assert "1 of them has an open ticket already and is not ticked." in page.text
        assert records(system, "change_request")[0]["number"] in page.text
        sent = form_of(page.text)
        assert sent["action"] == ["control_000", "control_002"]
        await browser.post("/tickets/bulk", data=sent | {"kind": ["change"], "how": ["each"]})
    await system.work()
    assert len(records(system, "change_request")) == 3


async def test_one_ticket_for_all(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    actions = several(3)
    know_actions(monkeypatch, *actions)
    await system.connect()
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        page = await browser.get(f"/tickets/new?{query(actions)}")
        sent = form_of(page.text) | {"kind": ["incident"], "how": ["all"]}
        form = await browser.post("/tickets/bulk", data=sent)
        assert "One ticket for 3 improvement actions." in form.text
        assert form.url.path == "/tickets/bulk"  # Not led on to an address that holds them all.
        filled = form_fields(form.text) | {"kind": "incident", "name": ""}
        named = {"action": form_of(form.text)["action_hidden"]}
        refused = await browser.post("/tickets/new", data={**filled, **named})
        assert refused.status_code == 422
        assert form_of(refused.text)["action_hidden"] == named["action"]  # Nothing is lost.
        ticket = await browser.post("/tickets/new", data={**filled, **named, "name": "Three at once"})
        assert ticket.status_code == 200, ticket.text
    await system.work()
    (record,) = records(system, "incident")
    assert record["short_description"] == "Three at once"
    for action in actions:
        assert f"Improvement action: {action.title} " in record["description"]
    async with await system.signed_in("sharer") as browser:
        again = await browser.get(f"/tickets/new?{query(actions)}")
        assert "3 of them have open tickets already" in again.text


async def test_what_is_ticked_in_the_list_travels_in_a_body_and_not_in_an_address(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as can be shared at once: proxies take addresses of some 8,000 letters."""
    actions = several(MOST_AT_ONCE)
    know_actions(monkeypatch, *actions)
    await system.connect()
    ids = [action.control_id for action in actions]
    async with await system.signed_in("sharer") as browser:
        page = await browser.post("/tickets/selection", data={"action": ids, "as": "each"})
        assert page.status_code == 200
        sent = form_of(page.text)
        assert (sent["shown"], sent["action"]) == (ids, ids)
        one = await browser.post("/tickets/selection", data={"action": ids[:100], "as": "one", "kind": "incident"})
        assert "One ticket for 100 improvement actions." in one.text
        filled, hidden = form_fields(one.text), form_of(one.text)["action_hidden"]
        shared = await browser.post("/tickets/new", data={**filled, "action": hidden, "category": "Identity"})
        assert shared.status_code == 303, shared.text
        single = await browser.post("/tickets/selection", data={"action": ids[:1], "as": "each"})
        assert f'action="/tickets/new?action={ids[0]}"' in single.text
        for wrong, sentence in ((["x", *ids], f"At most {MOST_AT_ONCE} actions"), ([], "Tick at least one action.")):
            refused = await browser.post("/tickets/selection", data={"action": wrong, "as": "each"})
            assert refused.status_code == 422
            assert sentence in refused.text


async def test_nothing_ticked_and_nothing_lost(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    actions = [*several(2), an_action("odd", category=None)]
    know_actions(monkeypatch, *actions)
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        page = await browser.get(f"/tickets/new?{query(actions)}")
        sent = form_of(page.text) | {"kind": ["incident"], "how": ["each"], "priority": ["1"]}
        nothing = await browser.post("/tickets/bulk", data={**sent, "action": []})
        assert nothing.status_code == 422
        assert "Tick at least one action." in nothing.text
        assert '<option value="1" selected>' in nothing.text
        refused = await browser.post("/tickets/bulk", data=sent)
        assert refused.status_code == 422
        assert "Some of these actions have none of the five categories." in refused.text
        late = await browser.post("/tickets/bulk", data={**sent, "category": ["Apps"], "due_date": ["2020-01-01"]})
        assert late.status_code == 422
        assert "This day has passed." in late.text
        done = await browser.post("/tickets/bulk", data={**sent, "category": ["Apps"]})
        assert done.status_code == 303


@pytest.mark.thorough
@pytest.mark.parametrize("count", [60, pytest.param(500, marks=pytest.mark.skipif(not SOAK, reason="make soak"))])
async def test_a_single_share_overtakes_many_at_once(
    system: System, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    actions = several(count)
    know_actions(monkeypatch, *actions)
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        ids = [action.control_id for action in actions]
        page = await browser.post("/tickets/selection", data={"action": ids, "as": "each"})
        sent = form_of(page.text) | {"kind": ["change"], "how": ["each"]}
        progress = await browser.post("/tickets/bulk", data=sent)
        assert progress.status_code == 303
    await share_one(system, name="The single one")
    await system.work()
    made = records(system, "change_request")
    assert len(made) == count + 1
    assert made[0]["short_description"] == "The single one"
    assert len(calls(system, "POST")) == count + 1
    async with system.resources.database.transaction() as session:
        shared = select(func.count()).select_from(Ticket).where(Ticket.delivery == "shared")
        assert (await session.execute(shared)).scalar_one() == count + 1
