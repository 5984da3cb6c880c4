"""The Graph client: paging, backoff, tokens, refusals, and its one write."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from app.core.clock import SetClock
from app.integrations.http.errors import Forbidden, InvalidResponse, RemoteError, ServerError, Throttled, Unauthorized
from app.integrations.microsoft.graph import CALLS_AT_ONCE, LONGEST_WAIT_FOR_PAGE_SECONDS, MOST_PAGES, GraphClient
from app.settings import Settings
from tests.factories.scripted import GRAPH, Reply, ScriptedGraph, answer, graph_over, page
from tests.factories.settings import some_settings

NEXT = f"{GRAPH}/v1.0/security/secureScoreControlProfiles?$top=200&$skiptoken=a%2Fb+c=="


async def read_all(*replies: Reply) -> tuple[list[dict[str, Any]], ScriptedGraph]:
    transport = ScriptedGraph(list(replies))
    client = graph_over(transport)
    return [item async for found in client.control_profiles() for item in found.items], transport


@pytest.mark.fact("microsoft-graph edge-1")
async def test_next_links_are_followed_to_the_last_page() -> None:
    items, transport = await read_all(page([{"id": "a"}], NEXT), page([{"id": "b"}]))
    assert [item["id"] for item in items] == ["a", "b"]
    assert len(transport.requests) == 2


@pytest.mark.fact("microsoft-graph edge-2", "microsoft-graph 1.1")
async def test_the_newest_days_cost_exactly_one_request() -> None:
    transport = ScriptedGraph([page([{"id": "t_2026-11-19"}], f"{GRAPH}/v1.0/security/secureScores?$skiptoken=1")])
    pages = [found async for found in graph_over(transport).scores(top=1)]
    assert len(pages) == 1
    assert transport.urls == [f"{GRAPH}/v1.0/security/secureScores?$top=1"]


@pytest.mark.fact("microsoft-graph edge-3")
async def test_a_next_link_is_used_byte_for_byte() -> None:
    _, transport = await read_all(page([], NEXT), page([]))
    assert transport.urls[1] == NEXT


@pytest.mark.fact("microsoft-graph edge-3")
@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/security/secureScores",
        "http://graph.microsoft.com/v1.0/x",
        "https://graph.microsoft.com.evil.example/",
        "https://graph.microsoft.com:444/v1.0/x",
        "https://user@graph.microsoft.com/v1.0/x",
        "/relative",
        17,
        {"a": 1},
        "",
    ],
)
async def test_a_next_link_to_anywhere_else_is_refused_and_never_gets_the_token(link: object) -> None:
    transport = ScriptedGraph([page([{"id": "a"}], link)])
    with pytest.raises(InvalidResponse):
        _ = [found async for found in graph_over(transport).control_profiles()]
    assert len(transport.requests) == 1


@pytest.mark.fact("microsoft-graph edge-3")
async def test_pages_that_lead_in_a_circle_end() -> None:
    with pytest.raises(InvalidResponse, match="circle"):
        await read_all(page([], NEXT), page([], NEXT))


@pytest.mark.fact("microsoft-graph edge-3")
async def test_the_number_of_pages_is_capped() -> None:
    count = 0

    def endless(_: object) -> Any:
        nonlocal count
        count += 1
        return page([], f"{NEXT}&n={count}")

    with pytest.raises(InvalidResponse, match="not complete"):
        await read_all(endless)
    assert count == MOST_PAGES


@pytest.mark.fact("microsoft-graph edge-5")
async def test_a_partial_answer_carries_its_warning() -> None:
    transport = ScriptedGraph([page([{"id": "a"}], status=206, warning='199 - "SecureScore/Provider/503/1000"')])
    [found] = [found async for found in graph_over(transport).control_profiles()]
    assert found.items
    assert found.warning == '199 - "SecureScore/Provider/503/1000"'


@pytest.mark.fact("microsoft-graph edge-6")
@pytest.mark.parametrize("status", [429, 503])
async def test_it_waits_as_long_as_it_is_told_in_seconds(still_clock: SetClock, status: int) -> None:
    before = still_clock.now()
    items, _ = await read_all(answer(status, retry_after="7"), page([{"id": "a"}]))
    assert items
    assert still_clock.now() - before == timedelta(seconds=7)


@pytest.mark.fact("microsoft-graph edge-6")
async def test_it_waits_until_the_date_it_is_told(still_clock: SetClock) -> None:
    before = still_clock.now()
    until = format_datetime(before + timedelta(seconds=30), usegmt=True)
    await read_all(answer(429, retry_after=until), page([]))
    assert still_clock.now() - before == timedelta(seconds=30)


@pytest.mark.fact("microsoft-graph edge-6")
async def test_it_backs_off_where_no_time_is_named(still_clock: SetClock) -> None:
    before = still_clock.now()
    await read_all(answer(429), answer(429), page([]))
    assert still_clock.now() - before == timedelta(seconds=2 + 4)


@pytest.mark.fact("microsoft-graph edge-6")
async def test_patience_has_an_end(still_clock: SetClock) -> None:
    before = still_clock.now()
    transport = ScriptedGraph([answer(429, retry_after="100")])
    with pytest.raises(Throttled) as refused:
        _ = [found async for found in graph_over(transport).control_profiles()]
    assert refused.value.seconds == 100
    assert still_clock.now() - before <= timedelta(seconds=LONGEST_WAIT_FOR_PAGE_SECONDS)
    with pytest.raises(ServerError):
        await read_all(answer(503))


@pytest.mark.fact("microsoft-graph edge-6")
async def test_no_more_than_four_calls_at_once() -> None:
    transport = ScriptedGraph([page([])])
    client = graph_over(transport)

    async def read() -> None:
        async for _ in client.scores(top=1):
            pass

    await asyncio.gather(*(read() for _ in range(20)))
    assert len(transport.requests) == 20
    assert transport.most_at_once <= CALLS_AT_ONCE
    assert transport.tokens == 1


@pytest.mark.fact("microsoft-graph edge-7")
async def test_a_401_is_met_with_one_new_token_and_one_more_try() -> None:
    items, transport = await read_all(answer(401), page([{"id": "a"}]))
    assert items
    assert [request.headers["Authorization"] for request in transport.requests] == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.fact("microsoft-graph edge-7")
async def test_a_second_401_ends_it() -> None:
    transport = ScriptedGraph([answer(401)])
    with pytest.raises(Unauthorized):
        _ = [found async for found in graph_over(transport).control_profiles()]
    assert (len(transport.requests), transport.tokens) == (2, 2)


@pytest.mark.fact("microsoft-graph edge-7")
async def test_a_403_names_the_permission_and_that_it_is_an_application_permission() -> None:
    with pytest.raises(Forbidden, match=r"SecurityEvents\.Read\.All as an application permission"):
        await read_all(answer(403))


@pytest.mark.fact("microsoft-graph edge-7")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429, 500, 502, 503])
async def test_no_secret_is_in_any_message(status: int, still_clock: SetClock) -> None:
    with pytest.raises(RemoteError) as error:
        await read_all(answer(status, {"error": {"message": "token-1 made up"}}))
    assert "token-1" not in str(error.value)
    assert "made up" not in str(error.value)
    assert "token-1" not in repr(error.value)


CLOUDS = {
    "global": ("https://graph.microsoft.com", "https://login.microsoftonline.com"),
    "usgov": ("https://graph.microsoft.us", "https://login.microsoftonline.us"),
    "dod": ("https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
}


def settings(cloud: str) -> Settings:
    return some_settings(microsoft_cloud=cloud)


@pytest.mark.fact("microsoft-graph edge-9", "microsoft-graph 1.7")
@pytest.mark.parametrize("cloud", list(CLOUDS))
async def test_host_token_host_and_scope_change_together(cloud: str) -> None:
    configured = settings(cloud)
    assert (configured.graph, configured.authority) == CLOUDS[cloud]
    seen: list[Any] = []

    class Recorder(ScriptedGraph):
        async def send(self, request: Any) -> Any:
            seen.append(request)
            return await super().send(request)

    transport: Any = Recorder([page([])])
    client = GraphClient(
        transport, graph_url=configured.graph, authority=configured.authority, tenant_id="t", client_id="c", client_secret="s",
    )  # fmt: skip
    _ = [found async for found in client.scores(top=1)]
    token, listing = seen
    assert token.url == f"{CLOUDS[cloud][1]}/t/oauth2/v2.0/token"
    assert token.form["scope"] == f"{CLOUDS[cloud][0]}/.default"
    assert listing.url.startswith(CLOUDS[cloud][0])


@pytest.mark.fact("microsoft-graph edge-9", "microsoft-graph 1.7")
@pytest.mark.parametrize("cloud", ["china", "21Vianet", " Gallatin "])
def test_china_is_refused_with_the_reason(cloud: str) -> None:
    with pytest.raises(ValueError, match="not offered by Microsoft Graph in the cloud operated by 21Vianet in China"):
        settings(cloud)


@pytest.mark.fact("microsoft-graph edge-10")
@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (answer(200, "<html>Proxy</html>", content_type="text/html"), "web page"),
        (answer(200, '{"value":[{"id":"a'), "not complete JSON.*character 16"),
        (answer(200, '{"value": [,]}'), "character 11"),
        (answer(200, "[]"), "not an object"),
        (answer(200, {"values": []}), "not a list"),
        (answer(200, {"value": {"id": "a"}}), "not a list"),
        (answer(200, {"value": ["a", None]}), "not a list"),
        (answer(200, {"value": None}), "not a list"),
        (answer(200, '{"value": [{"id": ' + "1" * 5000 + "}]}"), "JSON"),
    ],
)
async def test_what_is_no_list_is_a_clean_error_that_says_where(reply: Reply, says: str) -> None:
    with pytest.raises(InvalidResponse, match=says):
        await read_all(reply)


@pytest.mark.fact("microsoft-graph edge-45")
@pytest.mark.parametrize("status", [200, 204])
async def test_a_state_is_written_with_vendor_information(status: int) -> None:
    transport = ScriptedGraph([answer(status)])
    await graph_over(transport).change_state("aad/odd id.v1", state="Ignored", comment="")
    [request] = transport.requests
    assert (request.method, request.url) == (
        "PATCH", f"{GRAPH}/v1.0/security/secureScoreControlProfiles/aad%2Fodd%20id.v1",
    )  # fmt: skip
    assert request.body["state"] == "Ignored"
    assert request.body["vendorInformation"]["provider"] == "SecureScore"
    assert request.body["vendorInformation"]["vendor"] == "Microsoft"
    assert "controlStateUpdates" not in request.body


@pytest.mark.fact("microsoft-graph edge-45")
@pytest.mark.parametrize(
    ("status", "says"), [(400, "Microsoft refused this status"), (403, r"SecurityEvents\.ReadWrite\.All")]
)
async def test_a_refused_state_says_what_to_do(status: int, says: str) -> None:
    transport = ScriptedGraph([answer(status)])
    with pytest.raises(Forbidden, match=says):
        await graph_over(transport).change_state("a", state="Reviewed", comment="")
    assert len(transport.requests) == 1


@pytest.mark.fact("microsoft-graph edge-45")
async def test_a_write_is_repeated_once_with_a_new_token_and_never_otherwise(still_clock: SetClock) -> None:
    transport = ScriptedGraph([answer(401), answer(204)])
    await graph_over(transport).change_state("a", state="Reviewed", comment="")
    assert transport.tokens == 2
    transport = ScriptedGraph([answer(503)])
    with pytest.raises(ServerError):
        await graph_over(transport).change_state("a", state="Reviewed", comment="")
    assert len(transport.requests) == 1
