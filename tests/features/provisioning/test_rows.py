"""The rows of the diagnosis that test_diagnose does not produce, each by its name; and every finding has a name to show."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.core import clock
from app.core.clock import SetClock
from app.core.messages import T
from app.core.vault import Vault
from app.features.connection.connection_view import connection_view
from app.features.connection.models import Connection
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.checks.check_context import finding_for_error as look_trouble
from app.features.provisioning.diagnosis import run_diagnosis
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.jobs import start_check
from app.features.provisioning.models import DiagnosisRun
from app.features.provisioning.run_steps import list_steps
from app.features.secure_score.jobs import scheduled_sync
from app.features.tickets.types import TicketKind
from app.integrations.http.errors import Forbidden
from app.integrations.servicenow.oauth import ServiceNowOAuth
from app.integrations.servicenow.schemas import Tokens
from sandbox.servicenow.seeds import set_roles
from tests.conventions.files import ROOT
from tests.factories.connecting import confirm, connect_by_pages, connections, said, trouble
from tests.factories.graph_payloads import keep_days
from tests.factories.system import System
from tests.factories.tickets import read_ticket, run_due_and_waiting, share_one, shared_ticket


async def walked(system: System) -> dict[str, Finding]:
    return {finding.key: finding async for finding in run_diagnosis(system.resources)}


def client_record(system: System, **changes: str) -> None:
    """Change the client's record, as its administrator would."""
    store = system.servicenow.instance.store
    record = store.find("oauth_entity", client_id=system.servicenow.settings.client_id)
    assert record is not None
    store.put("oauth_entity", record | changes)


@pytest.mark.parametrize(
    ("fault", "path", "key", "words"),
    [
        ("strange_page", "/api/now", "not_servicenow", "Check the instance name"),
        ("unavailable", "/api/now", "gateway", "status page"),
        ("bad_gateway", "/api/now", "gateway", "status page"),
        ("cancelled_after_commit", "/table/incident", "no_answer", "Open the instance in a browser"),
        ("broken_json", "/table/incident", "no_answer", "Open the instance in a browser"),
        ("dropped_before", "/table/incident", "trouble", "Check again"),
        ("missing", "/table/sys_user/", "user_missing", "make it visible"),
    ],
)
async def test_an_answer_that_is_none_is_found_by_name(
    system: System, fault: str, path: str, key: str, words: str
) -> None:
    await system.connect()
    trouble(system, fault, path=path)
    found = await walked(system)
    assert key in found, list(found)
    assert found[key].is_problem
    assert words in str(found[key].advice)


async def test_an_api_that_is_protected_as_a_whole_names_its_role(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.api_acl_active = True
    system.servicenow.control("users", user_name="m365.integration", roles="sn_incident_write,sn_change_write")
    finding = (await walked(system))["role_missing.api"]
    assert finding.is_problem
    assert "snc_platform_rest_api_access" in str(finding.advice)
    system.servicenow.control("users", user_name="m365.integration", roles="itil")
    assert "role_missing.api" not in await walked(system)


async def test_a_refusal_by_an_address_rule_is_no_missing_role_and_names_the_address_rules(system: System) -> None:
    await system.connect()
    for path in (
        "/table/incident",
        "/table/change_request",
        "/table/sys_choice",
        "/table/oauth_entity",
        "/table/sys_user/",
    ):
        trouble(system, "ip_blocked", path=path)
        found = await walked(system)
        finding = found["refused"]
        assert finding.is_problem
        assert "IP Address Access Control" in str(finding.screen)
        assert "Please allow its address" in str(finding.message)
        assert not [key for key in found if key.startswith(("role_missing", "choices_", "client_", "correlation_"))], (
            path
        )


async def test_a_refusal_without_a_known_cause_names_the_access_rules(system: System) -> None:
    await system.connect()
    async with system.resources.database.transaction() as session:
        connection = await connection_view(session)
    assert connection is not None
    refusal = Forbidden(T("ServiceNow refused: %(reason)s", reason="User Not Authorized"))
    finding = look_trouble(CheckContext(system.resources, connection), T("Looked."), refusal)
    assert (finding.key, finding.is_problem) == ("refused", True)
    assert "System Security > Access Control" in str(finding.screen)


@pytest.mark.parametrize("table", ["incident", "change_request"])
async def test_one_record_that_is_hidden_is_no_missing_role(system: System, table: str) -> None:
    await system.connect()
    store = system.servicenow.instance.store
    first = next(iter(store.rows(table)))
    store.put(table, first | {"sys_id": "f" * 32, "number": "X0000999"})
    store.put(table, next(iter(store.rows(table))) | {"_hidden": "true"})
    assert f"role_missing.{table}.read" not in await walked(system)


async def test_whether_older_records_are_visible_cannot_be_known_while_the_newest_are_hidden(system: System) -> None:
    await system.connect()
    store = system.servicenow.instance.store
    first = next(iter(store.rows("incident")))
    for number in range(100):
        hidden = {"sys_id": f"{number:032x}", "sys_created_on": "2999-01-01 00:00:00", "_hidden": "true"}
        store.put("incident", first | hidden)
    finding = (await walked(system))["table_incident"]
    assert finding.state is State.UNKNOWN
    assert "Access rules hide the newest records" in str(finding.meaning)


async def test_a_query_rule_on_the_clients_record_is_no_cross_scope_refusal(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.change({"strict_queries": True, "closed_fields": "client_id"})
    found = await walked(system)
    assert "client_cross_scope" not in found
    assert found["client_query_refused"].state is State.NOTE
    assert "query_match" in str(found["client_query_refused"].message)


async def test_the_role_that_is_said_to_suffice_suffices(system: System) -> None:
    store = system.servicenow.instance.store
    robot = store.find("sys_user", user_name="m365.integration")
    assert robot is not None
    set_roles(store, robot, "sn_incident_write,personalize_choices")
    await system.connect()
    advice = str((await walked(system))["role_missing.change_request.read"].advice)
    role = re.search(r"the least that suffices, (\w+) with", advice)
    assert role is not None
    set_roles(store, robot, f"sn_incident_write,personalize_choices,snc_platform_rest_api_access,{role[1]}")
    assert not [key for key in await walked(system) if key.startswith("role_missing")]


async def test_a_token_service_that_does_not_answer_is_no_refusal(system: System) -> None:
    connection = await system.connect()
    trouble(system, "hibernating", path="/oauth_token.do", times=3)
    async with system.resources.database.transaction() as session:
        await start_check(system.resources, session, connection.id, "token")
    await system.work()
    async with system.resources.database.transaction() as session:
        [line] = [line for line in await list_steps(session) if line.key == "token"]
    assert line.finding is not None
    assert line.finding.key == "token_service"
    assert "Nothing is lost" in str(line.finding.advice)
    assert (await connections(system))[0].status == "connected"


async def test_keys_that_do_not_fit_are_named_as_this_servers_own_trouble(system: System) -> None:
    await system.connect()
    system.resources = replace(system.resources, vault=Vault([Vault.new_key()]))
    finding = (await walked(system))["vault_keys"]
    assert finding.is_problem
    assert "the same VAULT_KEYS" in str(finding.advice)
    assert (await connections(system))[0].status == "connected"


async def test_the_clients_record_is_judged_by_its_fields(system: System) -> None:
    await system.connect()
    client_record(system, redirect_url="https://elsewhere.example/servicenow/callback")
    finding = (await walked(system))["redirect_mismatch"]
    assert finding.is_problem
    assert "The record holds https://elsewhere.example/servicenow/callback" in str(finding.meaning)
    assert "http://security-center.test/servicenow/callback" in str(finding.advice)
    client_record(system, redirect_url="http://security-center.test/servicenow/callback/")
    assert (await walked(system))["redirect_mismatch"].is_problem  # A slash at its end is another address.
    client_record(system, active="false")
    found = await walked(system)
    assert found["client_inactive"].is_problem
    assert "Tick Active" in str(found["client_inactive"].advice)
    assert found["client_unknown"].is_problem


async def test_without_a_refresh_token_the_consent_row_says_so(system: System) -> None:
    await system.connect()
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(refresh_expires_at=None))
    finding = (await walked(system))["consent"]
    assert finding.is_problem
    assert "not public" in str(finding.advice)


async def test_a_new_consent_without_a_refresh_token_does_not_last_as_long_as_the_one_before(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    real = ServiceNowOAuth.exchange

    async def exchange(self: ServiceNowOAuth, *, code: str, code_verifier: str) -> Tokens:
        """The client was made public meanwhile."""
        return replace(await real(self, code=code, code_verifier=code_verifier), refresh_token=None)

    monkeypatch.setattr(ServiceNowOAuth, "exchange", exchange)
    await connect_by_pages(system, manager)
    assert (await connections(system))[0].refresh_expires_at is None
    assert "gave no refresh token" in str((await walked(system))["consent"].meaning)


async def test_an_account_that_servicenow_does_not_name_cannot_be_judged(system: System) -> None:
    manager = await system.signed_in("manager")
    trouble(system, "ip_blocked", path="/table/sys_user", times=3)
    await connect_by_pages(system, manager)
    finding = (await walked(system))["user_unknown"]
    assert finding.state is State.UNKNOWN
    assert "Opened by" in str(finding.advice)


async def test_another_account_that_somebody_confirmed_is_still_named(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="fred.luddy", expected_user_name="m365.integration")
    await confirm(manager)
    finding = (await walked(system))["user_unexpected"]
    assert finding.state is State.NOTE
    assert "while the set-up names m365.integration" in str(finding.meaning)


@pytest.mark.parametrize("change", [{"active": "false"}, {"locked_out": "true"}])
async def test_an_account_that_may_not_work_but_whose_token_does_is_found(
    system: System, change: dict[str, str]
) -> None:
    await system.connect()
    system.servicenow.instance.switches.locked_keeps_tokens = True
    system.servicenow.control("users", user_name="m365.integration", **change)
    finding = (await walked(system))["user_inactive"]
    assert finding.is_problem
    assert "activate and unlock the user m365.integration" in str(finding.message)


async def test_an_account_that_may_only_read_is_found_while_its_token_lives(system: System) -> None:
    await system.connect()
    system.servicenow.control("users", user_name="m365.integration", roles="itil,snc_read_only")
    found = await walked(system)
    assert found["user_read_only"].is_problem
    assert "remove the role snc_read_only from the user m365.integration" in str(found["user_read_only"].message)


async def test_look_ups_that_cannot_be_believed_are_found(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    assert "was found again" in str((await walked(system))["correlation"].meaning)
    switches = system.servicenow.instance.switches
    switches.unreadable_fields = "correlation_id"
    finding = (await walked(system))["correlation_hidden"]
    assert finding.is_problem
    assert "does not show the integration user the field correlation_id" in str(finding.meaning)
    switches.unreadable_fields = ""
    switches.closed_fields = "correlation_id"
    finding = (await walked(system))["correlation_ignored"]
    assert finding.is_problem
    assert "read the field correlation_id of change_request" in str(finding.message)
    switches.strict_queries = True
    assert "query_match" in str((await walked(system))["correlation_refused"].advice)


async def test_a_ticket_that_is_not_found_again_is_named(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control(
        "records", number=record["number"], fields={"correlation_id": "somebody else’s"}, by="fred.luddy"
    )
    finding = (await walked(system))["correlation_lost"]
    assert record["number"] in str(finding.meaning)
    assert (await read_ticket(system, ticket_id)).correlation_id in str(finding.advice)


async def test_tickets_that_wait_for_a_person_are_counted(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "change_request.create"
    await share_one(system, TicketKind.CHANGE)
    await run_due_and_waiting(system, rounds=3)
    finding = (await walked(system))["tickets_held"]
    assert "wait for a person: 1" in str(finding.meaning)


async def test_an_import_that_is_missing_or_stale_is_found(system: System, still_clock: SetClock) -> None:
    await system.connect()
    assert "Sync now" in str((await walked(system))["import_missing"].advice)
    system.microsoft.tenant.reset()
    keep_days(system.microsoft.tenant, 3)
    await scheduled_sync.function(system.resources)
    assert not (await walked(system))["import"].is_problem
    still_clock.move(36 * 3600)
    assert "import" in await walked(system)  # To the hour it is still fresh enough.
    still_clock.move(60)
    finding = (await walked(system))["import_stale"]
    assert finding.is_problem
    assert "the last runs say what went wrong" in str(finding.advice)


def _keys() -> set[str]:
    """Every name that a finding may have, read from the room's own source."""
    found: set[str] = set()
    for path in (ROOT / "app/features/provisioning").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'"([a-z_.]+)", State\.', source))
        found |= set(re.findall(r'Finding\(\s*f?"([a-z_.]+)', source))
        found |= set(re.findall(r'f"([a-z_]+)\.\{table\}', source))
    found |= {"dns", "private_address", "tls", "proxy", "table_change"}
    return {key.rstrip(".") for key in found} - {"cards"}  # The outcome on the provisioning page; no walk has it.


async def test_every_finding_has_a_name_on_the_page(system: System) -> None:
    keys = sorted(_keys())
    assert len(keys) > 50, keys
    async with system.resources.database.transaction() as session:
        findings = [Finding(key, State.PROBLEM, T("Looked."), T("Found %(key)s.", key=key)).to_json() for key in keys]
        now = clock.now()
        session.add(
            DiagnosisRun(asked_by="Somebody", started_at=now, finished_at=now + timedelta(seconds=1), findings=findings)
        )
    page = await (await system.signed_in("manager")).get("/servicenow/diagnosis/findings")
    names = re.findall(r'data-finding="([^"]+)">\s*<h2 class="step-title">\s*([^<]+?)\s*<', page.text)
    assert [key for key, _ in names] == keys
    nameless = [key for key, name in names if name == "Finding"]
    assert not nameless
    assert "Found redirect_mismatch." in said(page)


# What nobody at ServiceNow can mend: our network, our processes, a consent that a person here gives.
OURS = {
    "unreachable", "trouble", "not_servicenow", "asleep", "clock", "cards", "not_connected", "authorize", "token_service",
    "consent_expired", "consent_ends_soon", "user_unexpected", "no_worker", "queue_stuck", "tickets_held",
    "import_missing", "import_stale", "vault_keys", "user_unconfirmed", "authorization_denied",
}  # fmt: skip


def test_each_finding_says_what_to_do_and_where_and_what_to_send_to_its_administrator() -> None:
    """Read from the source: whoever adds a finding decides who can mend it."""
    lacking = []
    for path in (ROOT / "app/features/provisioning").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or ast.unparse(call.func) != "Finding" or len(call.args) < 2:
                continue
            key, state = ast.unparse(call.args[0]).strip("f'\""), ast.unparse(call.args[1])
            if "PROBLEM" not in state and "NOTE" not in state:
                continue
            given = {keyword.arg for keyword in call.keywords}
            wanted = {"advice"} if "unreachable" in key else {"advice", "screen", "message"}
            wanted = wanted if key not in OURS else {"advice"} - ({"advice"} if key == "cards" else set())
            lacking += [f"{key}: {name}" for name in sorted(wanted - given)]
    assert not lacking
