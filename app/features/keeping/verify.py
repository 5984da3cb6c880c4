"""Check that a database is whole: schema, references, secrets, tickets, what is derived; and a backup's file. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Table, and_, exists, func, select, text

from app.core.database import Base, Session
from app.core.messages import Message, T
from app.core.migrations import expected_revision
from app.core.sealed_columns import each_sealed
from app.core.vault import CannotOpen
from app.features.accounts.audit_verify import verify_chain
from app.features.keeping.backup_file import BackupReader, open_backup
from app.features.keeping.kept_tables import WITHOUT_ROWS
from app.features.keeping.ticket_checks import broken_rules
from app.features.tickets.views.kept_beside import compare_kept
from app.features.tickets.views.ticket_tally import TallyDifference, recount_tally
from app.resources import Resources

NOT_VALID = text(
    """
    SELECT conrelid::regclass::text || '.' || conname FROM pg_constraint
     WHERE connamespace = current_schema()::regnamespace AND NOT convalidated
    UNION ALL
    SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE c.relnamespace = current_schema()::regnamespace AND NOT i.indisvalid
    """
)


async def verify(resources: Resources) -> AsyncIterator[Message]:
    """A sentence for each problem of the database."""
    is_of_this_version = True
    async for problem in _tables(resources):
        is_of_this_version &= problem.code != "verify.other_version"
        yield problem
    if is_of_this_version:
        async with resources.database.transaction() as session:
            for one in (await verify_chain(session)).breaks:
                yield T("The audit log is not whole: %(sentence)s", sentence=one.sentence)


async def _tables(resources: Resources) -> AsyncIterator[Message]:
    async with resources.database.transaction() as session:
        # One moment for all checks, so that what is written meanwhile breaks no rule.
        await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        revision = (await session.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
        if revision != expected_revision():
            yield T(
                "The schema is of revision %(found)s, and this version needs %(needed)s: run the migrations.",
                found=revision or "–",
                needed=expected_revision() or "–",
                code="verify.other_version",
            )
            return
        for name in (await session.execute(NOT_VALID)).scalars():
            yield T("%(name)s is not valid: PostgreSQL has not checked all rows against it.", name=name)
        for table in Base.metadata.sorted_tables:
            async for problem in _references(session, table):
                yield problem
        async for problem in _secrets(resources, session):
            yield problem
        for rule in await broken_rules(session):
            yield T(
                "%(table)s: %(rule)s Rows: %(count)s, for example %(id)s.",
                table=rule.name.partition(".")[0],
                rule=rule.sentence,
                count=rule.count,
                id=rule.example,
            )
        for difference in await recount_tally(session):
            yield tally_sentence(difference)
        for wrong in await compare_kept(session):
            yield T(
                "%(table)s does not say what its tickets say. Rows: %(count)s, for example of ticket %(id)s. Lists leave tickets "
                "out or show them in the wrong place: run python -m app recount.",
                table=wrong.table,
                count=wrong.count,
                id=wrong.example,
            )


def tally_sentence(difference: TallyDifference) -> Message:
    """What the tally says wrongly, and what to do."""
    found = difference.found
    return T(
        "ticket_tally says %(kept)s and there are %(count)s: %(kind)s, %(delivery)s, state %(state)s (%(label)s), "
        "%(shown)s. Pages show the wrong number: run python -m app recount.",
        kept=difference.kept,
        count=found.n,
        kind=found.kind,
        delivery=found.delivery,
        state=found.state or "–",
        label=found.state_label or "–",
        shown=T("shown by ServiceNow") if found.shown else T("not shown by ServiceNow"),
    )


async def _references(session: Session, table: Table) -> AsyncIterator[Message]:
    # PostgreSQL keeps foreign keys itself, unless its triggers were switched off or its files were harmed.
    for constraint in table.foreign_key_constraints:
        count = (
            await session.execute(select(func.count()).select_from(table).where(_is_orphan(constraint)))
        ).scalar_one()
        if count:
            yield T(
                "%(table)s: %(count)s rows refer to rows of %(other)s that do not exist.",
                table=table.name,
                count=count,
                other=constraint.referred_table.name,
            )


def _is_orphan(constraint: ForeignKeyConstraint) -> Any:  # noqa: ANN401 - a condition.
    parent = constraint.referred_table.alias()
    pairs = [(element.parent, parent.c[element.column.name]) for element in constraint.elements]
    filled = and_(*(child.is_not(None) for child, _ in pairs))
    return filled & ~exists().where(and_(*(child == of_parent for child, of_parent in pairs)))


async def _secrets(resources: Resources, session: Session) -> AsyncIterator[Message]:
    closed: Counter[str] = Counter()
    async for context, sealed in each_sealed(session):
        try:
            resources.vault.open(context, sealed)
        except CannotOpen:
            closed[f"{context.table}.{context.column}"] += 1
    for column, count in sorted(closed.items()):
        yield T(
            "%(column)s: VAULT_KEYS do not open %(count)s values in their rows. Put the key that sealed them back.",
            column=column,
            count=count,
        )


def verify_file(path: Path) -> Iterator[Message]:
    """Read the whole backup. Raises BackupProblem with what is wrong; gives a sentence per table that it should hold."""
    with open_backup(path) as backup:
        for table in backup.manifest.tables:
            for _ in backup.pieces(table):
                pass
        yield from _missing(backup)


def _missing(backup: BackupReader) -> Iterator[Message]:
    if backup.manifest.revision != expected_revision():
        return  # Of another version, which had other tables.
    there = {table.name for table in backup.manifest.tables}
    for name in sorted(set(Base.metadata.tables) - there - set(WITHOUT_ROWS)):
        yield T("The backup does not hold table %(table)s.", table=name)


async def compare_counts(session: Session, path: Path) -> list[Message]:
    """Tables that hold fewer rows than the backup. Right after a restore there are none."""
    found: list[Message] = []
    with open_backup(path) as backup:
        saved = {table.name: table.rows for table in backup.manifest.tables}
    for name, table in Base.metadata.tables.items():
        if name in saved:
            count = (await session.execute(select(func.count()).select_from(table))).scalar_one()
            if count < saved[name]:
                found.append(
                    T(
                        "%(table)s holds %(count)s rows, and the backup %(saved)s.",
                        table=name,
                        count=count,
                        saved=saved[name],
                    )
                )
    return found
