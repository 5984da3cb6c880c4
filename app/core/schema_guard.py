"""Refuses to work on a PostgreSQL, or on tables, that this version was not made for."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import text

from app.core.database import Database
from app.core.database_connection import ConnectionOptions
from app.core.database_trouble import DATABASE_ERRORS, cause_of, no_database, passes
from app.core.errors import AppError
from app.core.messages import Message, T
from app.core.migrations import connected, current_revision, expected_revision, known_revisions, upgrade

# https://www.postgresql.org/support/versioning/: five years each. What we use of it is tested from this one on.
LEAST_POSTGRES = 16
VERSION_NUMBER = text("SELECT current_setting('server_version_num')::int")
REVISION = text("SELECT version_num FROM alembic_version")
HAS_REVISION = text("SELECT to_regclass('alembic_version') IS NOT NULL")


class UnfitDatabase(AppError):
    """This version must not work on that database."""

    status = 503
    default = T("The database is of another version. Run: python -m app migrate")


def version_problem(number: int) -> Message | None:
    """What is wrong with a server of this ``server_version_num`` (160004 is 16.4)."""
    if number >= LEAST_POSTGRES * 10_000:
        return None
    return T(
        "The database server is PostgreSQL %(found)s, and this product needs PostgreSQL %(least)s or newer.",
        found=number // 10_000,
        least=LEAST_POSTGRES,
    )


def revision_problem(found: str | None, expected: str | None, known: Collection[str]) -> Message | None:
    """What is wrong with tables of the revision `found` for a version that expects another one."""
    if found == expected:
        return None
    if found is None:
        return T("The database has no tables of this product yet. Run: python -m app migrate")
    if found in known:
        return T(
            "The database is of an older version (%(found)s instead of %(expected)s). Run: python -m app migrate",
            found=found,
            expected=expected or "none",
        )
    return T(
        "The database is of a newer version (%(found)s) than this program (%(expected)s). Start the newer program; "
        "python -m app migrate of this one cannot take the tables back.",
        found=found,
        expected=expected or "none",
    )


async def schema_problem(database: Database, expected: str | None = None) -> Message | None:
    """None when server and tables are those of this version. Raises what the database raises."""
    async with database.transaction() as session:
        problem = version_problem((await session.execute(VERSION_NUMBER)).scalar_one())
        if problem is not None:
            return problem
        has_revision = (await session.execute(HAS_REVISION)).scalar_one()
        found = (await session.execute(REVISION)).scalar_one_or_none() if has_revision else None
    wanted = expected_revision() if expected is None else expected
    return revision_problem(found, wanted, known_revisions())


async def require_fit_database(database: Database, expected: str | None = None) -> None:
    """Raises UnfitDatabase or NoDatabase, whose sentence says what to do."""
    try:
        problem = await schema_problem(database, expected)
    except DATABASE_ERRORS as error:
        raise no_database(error) from error
    if problem is not None:
        raise UnfitDatabase(problem)


async def readiness_problem(database: Database, expected: str | None) -> str:
    """Empty when the database answers and is this version's, otherwise what is wrong; for readiness probes."""
    try:
        problem = await schema_problem(database, expected)
    except DATABASE_ERRORS as error:
        return f"the database does not answer: {cause_of(error)}" if passes(error) else "the database cannot be read"
    return str(problem) if problem is not None else ""


def migrate(database_url: str, options: ConnectionOptions | None = None) -> None:
    """Run every migration that has not run yet. Raises UnfitDatabase or NoDatabase, and has then changed nothing."""
    try:
        with connected(database_url, options) as connection:
            problem = version_problem(connection.execute(VERSION_NUMBER).scalar_one())
            found = current_revision(connection)
            if problem is None and found is not None and found not in known_revisions():
                problem = revision_problem(found, expected_revision(), known_revisions())
            if problem is not None:
                raise UnfitDatabase(problem)
            upgrade(connection)
    except DATABASE_ERRORS as error:
        raise no_database(error) from error
