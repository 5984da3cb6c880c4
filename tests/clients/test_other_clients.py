"""Clients that others wrote work against the ServiceNow sandbox: they list, create, update and page through incidents."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.peer import PEERS, Done, do, environment
from tests.factories.servicenow import INTEGRATION_USER, SandboxServiceNow, running_servicenow

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(
        environment() is None and not os.environ.get("CI"), reason="no .venv-clients; `make clients` lays it"
    ),
]


@pytest.fixture(scope="module")
def one_servicenow() -> Iterator[SandboxServiceNow]:
    with running_servicenow() as servicenow:
        yield servicenow


@pytest.fixture
def servicenow(one_servicenow: SandboxServiceNow) -> SandboxServiceNow:
    one_servicenow.instance.reset()
    return one_servicenow


# aiosnow is not among those that are measured.
CLIENTS = (*PEERS, pytest.param("aiosnow", marks=pytest.mark.thorough))


def ask(peer: str, servicenow: SandboxServiceNow, **job: Any) -> Done:
    """Start the client with a token and, for those that sign in by themselves, all that they need for it."""
    credentials = {
        "token": servicenow.tokens()["access_token"],
        "user": INTEGRATION_USER,
        "password": servicenow.settings.password,
        "client_id": servicenow.settings.client_id,
        "client_secret": servicenow.settings.client_secret,
    }
    return do(peer, url=servicenow.url, **credentials, **job)


@pytest.mark.parametrize("peer", PEERS)
def test_lists_what_a_query_finds(servicenow: SandboxServiceNow, peer: str) -> None:
    done = ask(peer, servicenow, what="walk", query="short_descriptionLIKEprinter")
    assert (done.failures, done.told) == (0, [])
    known = next(row for row in servicenow.records() if "Printer" in row["short_description"])
    assert [(row["sys_id"], row["number"], row["state"]) for row in done.results] == [
        (known["sys_id"], known["number"], known["state"])
    ]


@pytest.mark.parametrize("peer", CLIENTS)
def test_creates_and_updates(servicenow: SandboxServiceNow, peer: str) -> None:
    bodies = [{"short_description": f"made by {peer} {n}", "urgency": "1", "impact": "1"} for n in range(2)]
    done = ask(peer, servicenow, what="create", bodies=bodies)
    assert (done.failures, done.told) == (0, [])
    stored = {row["sys_id"]: row for row in servicenow.records()}
    made = [stored[row["sys_id"]] for row in done.results]
    assert [row["short_description"] for row in made] == [body["short_description"] for body in bodies]
    assert {row["priority"] for row in made} == {"1"}
    fields = {"short_description": "changed", "state": "2"}
    changed = ask(peer, servicenow, what="update", sys_id=made[0]["sys_id"], fields=fields)
    assert changed.results == [{"sys_id": made[0]["sys_id"], "short_description": "changed"}]
    after = {row["sys_id"]: row for row in servicenow.records()}[made[0]["sys_id"]]
    assert (after["short_description"], after["state"], after["sys_mod_count"]) == ("changed", "2", "1")


@pytest.mark.parametrize("peer", CLIENTS)
def test_pages_through_everything_once(servicenow: SandboxServiceNow, peer: str) -> None:
    filled = servicenow.control("fill", table="incident", count=257, fields={"correlation_display": "pages"})
    servicenow.control("journal")
    done = ask(peer, servicenow, what="walk", query="correlation_display=pages", page=25)
    assert (done.failures, done.told) == (0, [])
    assert sorted(row["sys_id"] for row in done.results) == sorted(filled["sys_ids"])
    assert len(servicenow.calls("GET", "/table/incident")) >= 11


@pytest.mark.parametrize("peer", PEERS)
def test_reads_known_records_by_their_ids(servicenow: SandboxServiceNow, peer: str) -> None:
    filled = servicenow.control("fill", table="incident", count=250)
    done = ask(peer, servicenow, what="refresh", sys_ids=filled["sys_ids"])
    assert {row["sys_id"] for row in done.results} == set(filled["sys_ids"])


def with_expired_token(peer: str, servicenow: SandboxServiceNow) -> Done:
    stored = servicenow.tokens()
    servicenow.control("clock", seconds=1801)
    settings = servicenow.settings
    return do(
        peer, what="workers", url=servicenow.url, workers=1, stored=stored, client_id=settings.client_id,
        client_secret=settings.client_secret,
    )  # fmt: skip


def test_pysnow_refreshes_a_token_that_has_expired(servicenow: SandboxServiceNow) -> None:
    done = with_expired_token("pysnow", servicenow)
    assert (done.failures, done.told, len(done.results)) == (0, [], 1)
    assert [entry.status for entry in servicenow.calls("POST", "/oauth_token.do")] == [200, 200]


def test_pysnc_refreshes_too_but_sends_the_call_itself_without_the_new_token(servicenow: SandboxServiceNow) -> None:
    """A fault of PySNC 1.2.1 that the sandbox shows as an instance would: its next call would be good."""
    done = with_expired_token("PySNC", servicenow)
    assert [entry.status for entry in servicenow.calls("POST", "/oauth_token.do")] == [200, 200]
    assert done.told[0].startswith("AuthenticationException")


def test_pysnc_takes_the_batch_api_for_a_long_query(servicenow: SandboxServiceNow) -> None:
    servicenow.control("fill", table="incident", count=3, fields={"correlation_display": "long"})
    query = "correlation_display=long^numberNOT IN" + ",".join(f"INC{n:07d}" for n in range(1200))
    done = ask("PySNC", servicenow, what="walk", query=query)
    assert (done.failures, len(done.results)) == (0, 3)
    assert servicenow.calls("POST", "/api/now/v1/batch")


WAYS = {
    "PySNC": ("basic", "password", "client_credentials"),
    "pysnow": ("basic", "password"),
    "aiosnow": ("basic",),
}


@pytest.mark.thorough
@pytest.mark.parametrize("peer", CLIENTS)
def test_signs_in_by_every_way_it_has(servicenow: SandboxServiceNow, peer: str) -> None:
    servicenow.control("switches", client_credentials_grant=True)
    done = ask(peer, servicenow, what="sign_in")
    assert (done.failures, done.told) == (0, [])
    assert done.results == [{"way": way, "user": INTEGRATION_USER} for way in WAYS[peer]]


@pytest.mark.thorough
@pytest.mark.parametrize("peer", PEERS)
def test_attaches_a_file_and_reads_it_back(servicenow: SandboxServiceNow, peer: str) -> None:
    known = servicenow.records()[0]
    done = ask(peer, servicenow, what="attach", sys_id=known["sys_id"], text="words\nand more")
    assert (done.failures, done.told) == (0, [])
    assert done.results == [{"file_name": "a.txt", "text": "words\nand more"}, {"left": 0}]


REFUSALS = {
    "PySNC": ["RoleException", "RoleException"],
    "pysnow": ["NoResults", "HTTPError", "HTTPError"],
    "aiosnow": ["RequestError: 403", "RequestError: 404", "RequestError: 403"],
}


@pytest.mark.thorough
@pytest.mark.parametrize("peer", CLIENTS)
def test_reads_404_and_403_as_what_they_are(servicenow: SandboxServiceNow, peer: str) -> None:
    servicenow.control("switches", properties_readable=False, acl_refuses="incident.create")
    done = ask(peer, servicenow, what="refused", missing="0" * 32, closed="sys_properties")
    told = [" ".join(text.split()[: 2 if peer == "aiosnow" else 1]).rstrip(":") for text in done.told]
    assert told == REFUSALS[peer], done.told
    if peer == "PySNC":
        assert done.results == [{"told": "found: False"}]
    statuses = [entry.status for entry in servicenow.calls() if "/api/now/" in entry.path]
    assert 403 in statuses
