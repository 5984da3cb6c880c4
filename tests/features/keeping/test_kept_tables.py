"""A new table, or a new column that tells who a person is, makes its author decide what becomes of it."""

from __future__ import annotations

import re

import psycopg

from app.features.keeping.kept_tables import KEPT, WITHOUT_ROWS
from app.features.keeping.personal_columns import DELETED, REPLACED
from app.features.models import all_metadata
from tests.conventions.files import ROOT

# Columns whose name says that they may tell who a person is.
TELLING = re.compile(
    r"(^|_)(by|actor|author|person|email|mail|oid|name|address|user|who|upn|phone|login|ip)($|_)|_hash$|assigned"
)


def test_every_table_is_listed_and_no_other(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
    # The template of the tests is made of the models, so Alembic's own table is not in it.
    assert {str(row[0]) for row in rows} | {"alembic_version"} == set(KEPT)


def test_every_column_that_may_tell_who_a_person_is_is_decided_about() -> None:
    undecided = []
    for table in all_metadata().sorted_tables:
        kept = KEPT[table.name]
        decided = {*kept.personal, *dict(kept.also_names)}
        assert decided <= set(table.columns.keys()), table.name
        undecided += [
            f"{table.name}.{column}"
            for column in table.columns.keys()  # noqa: SIM118 - not a dictionary.
            if TELLING.search(column) and column not in decided
        ]
    assert not undecided, f"say in kept_tables.py what becomes of: {undecided}"


def test_erasing_reaches_every_personal_column() -> None:
    reached: dict[str, set[str]] = {}
    for place in REPLACED:
        columns = {column.key for column in (*place.ids, *place.oids, *place.names, *place.emails)}
        reached[place.table.__tablename__] = {*place.after, *columns}
    deleted = {place.table.__tablename__ for place in DELETED}
    for name, kept in KEPT.items():
        missing = set() if name in deleted else set(kept.personal) - reached.get(name, set())
        assert not missing, f"{name}: {missing}"
    assert {*reached, *deleted} == {name for name, kept in KEPT.items() if kept.personal}


def test_no_table_is_without_rows_for_no_reason() -> None:
    assert all(WITHOUT_ROWS.values())
    assert not {name for name in WITHOUT_ROWS if name.startswith("procrastinate")}


def test_the_document_names_every_table_and_what_a_backup_leaves_out() -> None:
    document = (ROOT / "docs/keeping.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", document, re.MULTILINE))
    assert rows == {name: kept.until for name, kept in KEPT.items()}
    assert all(f"- `{name}`: {reason}" in document for name, reason in WITHOUT_ROWS.items())
