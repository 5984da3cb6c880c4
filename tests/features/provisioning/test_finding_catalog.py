"""The catalog of findings: complete, named on the page, and filled with facts."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from app.core import clock
from app.core.messages import T
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.finding_catalog import (
    FINDINGS,
    PLACEHOLDER,
    fill,
    key_of,
    make_finding,
    needs_consent,
    passes_by_itself,
    title_of,
)
from app.features.provisioning.models import DiagnosisRun
from tests.factories.connecting import said
from tests.factories.system import System


def every_key() -> list[str]:
    """Every key that a finding may have, with one table or right where it names one."""
    named = {
        "table": "table_change",
        "role_missing": "role_missing.incident.read",
        "create_refused": "create_refused.incident",
    }
    keys = {named.get(key_of(code), key_of(code)) for code in FINDINGS}
    return sorted(keys - {"cards"})  # The outcome on the provisioning page; no diagnosis has it.


async def test_every_finding_has_a_name_on_the_page(system: System) -> None:
    keys = every_key()
    assert len(keys) > 50, keys
    async with system.resources.database.transaction() as session:
        findings = [Finding(key, State.PROBLEM, T("Checked."), T("Found %(key)s.", key=key)).to_json() for key in keys]
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


# What no administrator of ServiceNow can fix: our network, our processes, a consent that a person here gives.
OURS = {
    "dns", "private_address", "tls", "proxy",
    "unreachable", "trouble", "not_servicenow", "asleep", "clock", "cards", "not_connected", "authorize", "token_service",
    "consent_expired", "consent_ends_soon", "user_unexpected", "no_worker", "storage_refused", "keys_differ",
    "queue_stuck", "jobs_failed", "tickets_held",
    "settings_notable", "settings_unsafe", "entra_unreachable", "entra_refused", "graph", "graph_unreachable", "graph_refused",
    "microsoft_clock", "import_missing", "import_stale", "score_stale", "vault_keys", "user_unconfirmed", "authorization_denied",
}  # fmt: skip


def test_each_finding_says_what_to_do_and_where_and_what_to_send_to_its_administrator() -> None:
    lacking = []
    for code, text in FINDINGS.items():
        if text.state not in (State.PROBLEM, State.NOTE) or key_of(code) == "cards":
            continue
        given = {"advice": text.advice, "screen": text.screen, "message": text.message}
        wanted = {"advice"} if key_of(code) in OURS else set(given)
        lacking += [f"{code}: {name}" for name in sorted(wanted) if given[name] is None]
    assert not lacking


def test_a_code_without_a_fact_it_names_or_without_a_meaning_is_refused() -> None:
    with pytest.raises(KeyError):
        make_finding("no_such_code")
    with pytest.raises(KeyError):
        make_finding("queue_stuck", due=1)
    with pytest.raises(KeyError):
        make_finding("clock:no_answer")


def test_facts_fill_every_text_and_the_errors_message_is_the_meaning_where_there_is_no_other() -> None:
    finding = make_finding("no_answer", meaning=T("It broke."), user="robot", why=T("It broke."))
    assert (finding.key, finding.state, str(finding.meaning)) == ("no_answer", State.PROBLEM, "It broke.")
    assert "Calls of our user robot" in str(finding.message)
    assert "It broke. The support bundle" in str(finding.message)


def test_key_and_state_may_be_given() -> None:
    finding = make_finding(
        "create_refused",
        key="create_refused.incident",
        state=State.NOTE,
        table="incident",
        count=1,
        why="No.",
        user="x",
    )
    assert (finding.key, finding.state) == ("create_refused.incident", State.NOTE)


def test_a_message_keeps_the_values_it_has() -> None:
    filled = fill(T("%(one)s and %(two)s", one="1"), {"one": "other", "two": 2, "three": 3})
    assert str(filled) == "1 and 2"
    assert set(filled.values) == {"one", "two"}


@pytest.mark.parametrize(
    ("code", "key"), [("clock", "clock"), ("clock:off", "clock"), ("role_missing.api", "role_missing.api")]
)
def test_a_key_is_its_code_without_the_variant(code: str, key: str) -> None:
    assert key_of(code) == key


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("clock", "Clocks"),
        ("table_change", "Table of change requests"),
        ("table_incident", "Table of incidents"),
        ("role_missing.incident.read", "Role missing"),
        ("create_refused.change_request", "Creating refused"),
        ("of_an_older_version", "Finding"),
    ],
)
def test_every_key_has_a_heading(key: str, title: str) -> None:
    assert str(title_of(key)) == title


def test_texts_name_only_facts_by_name() -> None:
    for code, text in FINDINGS.items():
        for part in (text.meaning, text.advice, text.screen, text.message):
            if part is not None:
                assert "%" not in PLACEHOLDER.sub("", part.message), code


def test_only_a_consent_fixes_some_findings_and_some_pass_by_themselves() -> None:
    keys = {key_of(code) for code in FINDINGS}
    assert {key for key in keys if needs_consent(key)} == {
        "auth_scope_missing", "authorize", "consent_expired", "consent_refused", "token_refused", "user_missing",
    }  # fmt: skip
    assert {key for key in keys if passes_by_itself(key)} == {"rate_limit", "trouble"}
