"""Rows and jobs of earlier versions mean the same after the migrations."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from cryptography.fernet import Fernet
from psycopg import sql
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from app.__main__ import main
from app.core import migrations
from app.core.database import Database, make_engine
from app.core.database_connection import as_psycopg_url
from app.core.messages import Message
from app.core.vault import Context, Sealed, Vault
from app.features.accounts.audit_verify import ChainReport
from app.features.tickets.delivery.visibility import refusal_message
from tests.conventions.test_migrations import empty_database
from tests.factories.audit import report_of, write

pytestmark = pytest.mark.thorough

__all__ = ["empty_database"]  # The fixture.


def downgrade(url: str, revision: str) -> None:
    migrations.migrate(url)
    with create_engine(as_psycopg_url(url), poolclass=NullPool).connect() as connection:
        command.downgrade(migrations.alembic_config(connection), revision)
        connection.commit()


def insert(connection: psycopg.Connection[Any], table: str, **given: object) -> None:
    """A row with something in each column that must not be empty, without the rows that it refers to."""
    connection.execute("SET session_replication_role = replica")
    columns = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND is_nullable = 'NO'",
        (table,),
    ).fetchall()
    values = {name: _EXAMPLES[kind] for name, kind in columns if kind in _EXAMPLES} | given
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        ),
        list(values.values()),
    )


def test_why_a_record_is_not_shown_is_read_from_the_history(empty_database: str) -> None:
    told = {
        "deleted": {"code": "ticket.record_deleted", "message": "Deleted in ServiceNow: …"},
        "hidden": {"message": "The record is still in ServiceNow, but …"},
        "moved": {"message": "The record was moved to another table of ServiceNow (%(table)s)."},
        "not_shown": None,
        "": {"code": "ticket.record_deleted", "message": "Deleted in ServiceNow: …"},
    }
    downgrade(empty_database, "0009")
    for absence, message in told.items():
        with psycopg.connect(empty_database) as connection:
            connection.execute("DELETE FROM ticket")
            ticket_id = uuid4()
            insert(connection, "ticket", id=ticket_id, visible=absence == "")
            if message is not None:
                insert(
                    connection, "ticket_event", ticket_id=ticket_id, event_type="hidden", message=json.dumps(message)
                )
        migrations.migrate(empty_database)
        with psycopg.connect(empty_database) as connection:
            assert connection.execute("SELECT absence FROM ticket").fetchone() == (absence,)
        downgrade(empty_database, "0009")


def test_tickets_of_earlier_versions_are_found_by_search_and_by_their_actions(empty_database: str) -> None:
    downgrade(empty_database, "0023")
    with psycopg.connect(empty_database) as connection:
        for delivery in ("shared", "queued"):
            ticket_id = uuid4()
            known = {"name": "Über MFA", "number": delivery, "requested_by_name": "Megan", "delivery": delivery}
            insert(connection, "ticket", id=ticket_id, form_key=delivery, correlation_id=delivery, **known)
            for title in ("Über MFA", "B 한국", "A"):
                insert(connection, "ticket_action", ticket_id=ticket_id, control_id=title, title=title)
    migrations.migrate(empty_database)
    query = """SELECT s.search_text, t.number, count(a.shared_created), count(*) FILTER (WHERE a.created_at = t.created_at)
        FROM ticket t JOIN ticket_search s ON s.ticket_id = t.id AND s.created_at = t.created_at
        JOIN ticket_action a ON a.ticket_id = t.id GROUP BY 1, 2 ORDER BY 2"""
    with psycopg.connect(empty_database) as connection:
        assert connection.execute(query).fetchall() == [
            ("über mfa\x1fqueued\x1fmegan\x1fa\x1fb 한국", "queued", 0, 3),
            ("über mfa\x1fshared\x1fmegan\x1fa\x1fb 한국", "shared", 3, 3),
        ]


def test_a_connection_whose_refresh_answer_was_lost_is_marked_and_no_other(empty_database: str) -> None:
    """SQLAlchemy writes None into a JSON column as JSON null, which is not NULL."""
    lost = {"message": "An answer of ServiceNow with a new token was lost on its way. Nothing else …", "values": {}}
    downgrade(empty_database, "0005")
    for attention, is_marked in (("null", False), (None, False), (json.dumps(lost), True)):
        with psycopg.connect(empty_database) as connection:
            connection.execute("DELETE FROM connection")
            insert(connection, "connection", status="connected", attention=attention)
        migrations.migrate(empty_database)
        with psycopg.connect(empty_database) as connection:
            query = "SELECT refresh_answer_lost_at IS NOT NULL FROM connection"
            assert connection.execute(query).fetchone() == (is_marked,), attention
        downgrade(empty_database, "0005")
    with psycopg.connect(empty_database) as connection:
        found = connection.execute("SELECT attention ->> 'message' FROM connection").fetchone()
    assert found is not None
    assert found[0].startswith("An answer of ServiceNow with a new token was lost on its way.")


def test_the_cause_of_a_ticket_in_doubt_is_known_after_the_upgrade(empty_database: str) -> None:
    reason = {"message": "No.", "values": {}}
    problem = {"message": "We cannot tell whether this ticket arrived. %(reason)s", "values": {"reason": reason}}
    downgrade(empty_database, "0003")
    with psycopg.connect(empty_database) as connection:
        insert(connection, "ticket", problem=json.dumps(problem), delivery="held")
    migrations.migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        stored = connection.execute("SELECT problem FROM ticket").fetchone()
    assert stored is not None
    assert str(refusal_message(Message.from_json(stored[0]))) == "No."


def test_a_diagnosis_that_waits_in_the_queue_can_be_run_after_the_upgrade(empty_database: str) -> None:
    downgrade(empty_database, "0003")
    with psycopg.connect(empty_database) as connection:
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args)"
            " VALUES ('default', 'provisioning.diagnose', '{\"walk_id\": \"x\"}'),"
            " ('default', 'tickets.bring_note', '{\"note_id\": \"y\"}')"
        )
    migrations.migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        jobs = connection.execute("SELECT task_name, args FROM procrastinate_jobs ORDER BY id").fetchall()
    assert jobs == [("provisioning.diagnose", {"run_id": "x"}), ("tickets.deliver_note", {"note_id": "y"})]


def test_stored_sentences_that_logic_needs_get_their_codes(empty_database: str) -> None:
    """Events and warnings written before messages had codes; other sentences stay as they were."""
    downgrade(empty_database, "0006")
    deleted = "Deleted in ServiceNow: it counts no such record any more. (A rule that hides records …)"
    duplicate = "ServiceNow holds more than one record of this ticket. We follow %(number)s; close %(other)s there."
    warnings = [{"message": "Cut.", "values": {}}, {"message": duplicate, "values": {"other": "INC2"}}]
    with psycopg.connect(empty_database) as connection:
        insert(connection, "ticket", warnings=json.dumps(warnings))
        for event_type, sentence in (("hidden", deleted), ("changed", deleted), ("hidden", "Something else.")):
            connection.execute(
                "INSERT INTO ticket_event (ticket_id, occurred_at, event_type, message, actor)"
                " VALUES (gen_random_uuid(), now(), %s, jsonb_build_object('message', %s::text), '')",
                (event_type, sentence),
            )
    migrations.migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        codes = connection.execute("SELECT message->>'code' FROM ticket_event ORDER BY id").fetchall()
        stored = connection.execute("SELECT warnings FROM ticket").fetchone()
    assert codes == [("ticket.record_deleted",), (None,), (None,)]
    assert stored == ([warnings[0], warnings[1] | {"code": "ticket.duplicate_records"}],)


def test_refusals_of_earlier_versions_have_their_cause_after_the_upgrade(empty_database: str) -> None:
    """The instance's own words are part of it; what was not refused, or has another sentence, has none."""
    refused = {"message": "ServiceNow refused: %(reason)s", "values": {"reason": "ACL Exception"}}
    hidden = {
        "message": "ServiceNow shows the integration user no records of this kind (or not their correlation id), so not "
        "finding one proves nothing.",
        "values": {},
    }
    doubt = {"code": "delivery.in_doubt", "message": "We cannot tell whether this ticket arrived. %(reason)s"}
    tickets = [
        (refused, 2, "servicenow.refused ACL Exception"),
        (doubt | {"values": {"reason": hidden}}, 2, "delivery.not_visible"),
        (doubt | {"values": {"reason": hidden, "before": refused}}, 2, "servicenow.refused ACL Exception"),
        (refused, 0, None),
        ({"message": "Not there.", "values": {}}, 2, None),
    ]
    downgrade(empty_database, "0007")
    with psycopg.connect(empty_database) as connection:
        for number, (problem, refusals, _cause) in enumerate(tickets):
            unique = {"id": uuid4(), "form_key": str(number), "correlation_id": str(number)}
            insert(
                connection, "ticket", problem=json.dumps(problem), delivery="held", refusals=refusals,
                number=str(number), attempted_at="2026-11-20 09:00:00+00", **unique,
            )  # fmt: skip
    migrations.migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute(
            "SELECT refusal_cause, refused_at IS NOT DISTINCT FROM attempted_at FROM ticket ORDER BY number"
        ).fetchall()
    assert rows == [(cause, cause is not None) for _problem, _refusals, cause in tickets]


_EXAMPLES = {
    "uuid": "00000000-0000-4000-8000-000000000001",
    "text": "x",
    "integer": 1,
    "boolean": True,
    "date": "2026-11-20",
    "timestamp with time zone": "2026-11-20 09:00:00+00",
    "jsonb": "{}",
}


def test_a_connection_that_works_goes_on_without_a_scope_and_one_that_was_given_up_is_tried_again(
    empty_database: str,
) -> None:
    refused = {"message": "ServiceNow no longer renews our access.", "values": {}, "code": "oauth.not_renewed"}
    final = {"message": "This consent is over.", "values": {}, "code": "oauth.invalid_grant"}
    for status, attention, is_tried in (
        ("connected", None, False), ("needs_attention", refused, True), ("needs_attention", final, False),
    ):  # fmt: skip
        downgrade(empty_database, "0009")
        with psycopg.connect(empty_database) as connection:
            connection.execute("DELETE FROM connection")
            insert(connection, "connection", status=status, attention=json.dumps(attention) if attention else None)
        migrations.migrate(empty_database)
        with psycopg.connect(empty_database) as connection:
            query = "SELECT sends_scope, next_renewal_at IS NOT NULL, account_since = connected_at FROM connection"
            assert connection.execute(query).fetchone() == (False, is_tried, True)


def test_secrets_of_earlier_versions_are_bound_to_their_rows_by_the_migrate_command(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their columns hold Fernet tokens that were sealed for a purpose alone."""
    key, row = Vault.new_key(), uuid4()
    token = Fernet(key).encrypt(json.dumps(["servicenow refresh token", "s3cret"]).encode()).decode()
    downgrade(empty_database, "0015")
    with psycopg.connect(empty_database) as connection:
        insert(connection, "connection", id=row, origin="https://contoso.service-now.com", refresh_token=token)
    some_id = "badeb8ad-3543-4fe3-9d3f-1b8f4b7c1a11"
    given = {"DATABASE_URL": empty_database, "VAULT_KEYS": key, "ENTRA_TENANT_ID": some_id, "ENTRA_CLIENT_ID": some_id}
    for name, value in (given | {"ENTRA_CLIENT_SECRET": "s"}).items():
        monkeypatch.setenv(name, value)
    place = Context("connection", "refresh_token", str(row), ("https://contoso.service-now.com",))
    for _again in range(2):
        assert main(["migrate"]) == 0
        with psycopg.connect(empty_database) as connection:
            stored = connection.execute("SELECT refresh_token FROM connection").fetchone()
        assert stored is not None
        assert Vault([key]).open(place, Sealed(stored[0])) == "s3cret"


def test_the_audit_log_of_earlier_versions_is_a_chain_after_the_upgrade(empty_database: str) -> None:
    """In the order of the numbers, with gaps in them; what is written afterwards follows."""
    downgrade(empty_database, "0015")
    with psycopg.connect(empty_database) as connection:
        for number in (2, 3, 7):
            # jsonb keeps 1e16 as an integer, and the hash must not depend on it.
            action = json.dumps({"message": "Done %(n)s", "values": {"n": 1e16, "ä": [0.5, None]}})
            insert(connection, "audit_entry", id=number, action=action, facts='{"b": "ü", "a": "1"}', person_name="Lee")
    migrations.migrate(empty_database)

    async def verify() -> ChainReport:
        database = Database(make_engine(empty_database))
        before = await report_of(database)
        assert (before.entries, before.breaks) == (3, [])
        async with database.transaction() as session:
            # The rows above were inserted with their numbers, so the sequence has not moved.
            await session.execute(text("SELECT setval(pg_get_serial_sequence('audit_entry', 'id'), 7)"))
        await write(database, 2)
        report = await report_of(database)
        with pytest.raises(DBAPIError, match="neither changed nor deleted"):
            async with database.transaction() as session:
                await session.execute(text("DELETE FROM audit_entry"))
        await database.close()
        return report

    report = asyncio.run(verify())
    assert (report.entries, report.breaks) == (5, [])


def test_texts_and_numbers_that_were_stored_without_a_bound_are_cut(empty_database: str) -> None:
    huge = "x" * 300_000
    said = {
        "message": "Arrived in ServiceNow as %(number)s.",
        "code": "a.code",
        "values": {"number": huge, "short": "s"},
    }
    short = {"message": "Fine.", "values": {"number": "INC1"}}
    downgrade(empty_database, "0015")
    ticket_id, other_id = uuid4(), uuid4()
    with psycopg.connect(empty_database) as connection:
        insert(connection, "connection", id=_EXAMPLES["uuid"], attention=json.dumps(said), user_name=huge)
        insert(
            connection, "ticket", id=ticket_id, form_key="a", correlation_id="a", number=huge, assigned_to=huge,
            warnings=json.dumps([said, short]), differences="[]", journal="[]", problem=json.dumps(said),
        )  # fmt: skip
        insert(
            connection, "ticket", id=other_id, form_key="b", correlation_id="b", number="INC0010001", assigned_to="Beth Anglin",
            warnings=json.dumps([short]), differences="[]", journal="[]", problem=json.dumps(short),
        )  # fmt: skip
        insert(connection, "ticket_event", ticket_id=ticket_id, event_type="arrived", message=json.dumps(said))
        insert(
            connection, "improvement_action", control_id="A", title=huge, max_points=1e308, points=5.0,
            action_url="https://x/" + huge,
        )  # fmt: skip
    migrations.migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        found = connection.execute("SELECT id, number, assigned_to, warnings, problem FROM ticket").fetchall()
        rows = {row[0]: row[1:] for row in found}
        number, assigned_to, warnings, problem = rows[ticket_id]
        assert (number, assigned_to) == ("x" * 39 + "…", "x" * 254 + "…")
        assert warnings == [short]
        assert (problem["code"], len(problem["values"]["number"]), problem["values"]["short"]) == ("a.code", 1000, "s")
        assert rows[other_id] == ("INC0010001", "Beth Anglin", [short], short)
        [(message,)] = connection.execute("SELECT message FROM ticket_event").fetchall()
        assert len(str(Message.from_json(message))) < 1_100
        [action] = connection.execute(
            "SELECT length(title), max_points, points, action_url FROM improvement_action"
        ).fetchall()
        assert action == (500, None, 5.0, "")


def test_tickets_of_earlier_versions_are_counted(empty_database: str) -> None:
    downgrade(empty_database, "0022")
    with psycopg.connect(empty_database) as connection:
        for number, (kind, absence) in enumerate((("change", ""), ("change", ""), ("incident", "deleted"))):
            insert(
                connection, "ticket", id=uuid4(), form_key=str(number), correlation_id=str(number), kind=kind,
                absence=absence, delivery="shared", state="1", state_label="New",
            )  # fmt: skip
    for _again in range(2):
        migrations.migrate(empty_database)
        with psycopg.connect(empty_database) as connection:
            rows = connection.execute(
                "SELECT kind, delivery, state, state_label, shown, n FROM ticket_tally"
            ).fetchall()
            assert set(rows) == {
                ("change", "shared", "1", "New", True, 2), ("incident", "shared", "1", "New", False, 1)
            }  # fmt: skip
            topics = connection.execute("SELECT topic FROM page_version").fetchall()
            assert {topic for (topic,) in topics} == {
                "tickets.change", "tickets.incident", "connection", "poll", "score", "plans"
            }  # fmt: skip
        downgrade(empty_database, "0022")


def test_a_migration_may_alter_a_table_whose_rows_the_one_before_has_changed(empty_database: str) -> None:
    """PostgreSQL alters no table for which a trigger waits until the commit, and all migrations are one transaction."""
    migrations.migrate(empty_database)
    with create_engine(as_psycopg_url(empty_database), poolclass=NullPool).connect() as connection:
        connection.execute(text("INSERT INTO action_tag VALUES ('t', 'c', 'tag')"))
        with pytest.raises(DBAPIError, match="pending trigger events"), connection.begin_nested():
            connection.execute(text("ALTER TABLE action_tag ADD COLUMN other text"))
        command.stamp(migrations.alembic_config(connection), "0022")
        connection.execute(text("ALTER TABLE action_tag ADD COLUMN other text"))
        connection.rollback()
