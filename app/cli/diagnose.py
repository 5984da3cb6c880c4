"""The command `doctor`: prints the findings of the diagnosis, those about the tables first."""

from __future__ import annotations

from pathlib import Path

from app.core.database_trouble import DATABASE_ERRORS, DatabaseTrouble, trouble_of
from app.core.errors import AppError
from app.core.messages import T
from app.core.schema_guard import schema_problem
from app.features.provisioning.diagnosis import run_diagnosis
from app.features.provisioning.support_bundle import support_bundle
from app.resources import Resources


class BundleNotWritten(AppError):
    """The support bundle could not be written where it should be."""


async def diagnose(resources: Resources, bundle: Path | None = None) -> int:
    """Print every finding, and write the support bundle. The exit status is 1 when a finding needs a person.

    Works on tables of another version as far as they allow it. Raises BundleNotWritten.
    """
    unfit = await schema_problem(resources.database, resources.expected_revision)
    problems = 0
    if unfit is not None:
        problems += 1
        print(f"[problem] tables: {unfit}")
    try:
        async for finding in run_diagnosis(resources):
            problems += finding.is_problem
            print(finding)
        if bundle is not None:
            _write(bundle, await support_bundle(resources))
            print(f"The support bundle is in {bundle}.")
    except DATABASE_ERRORS as error:
        if unfit is None or trouble_of(error) is not DatabaseTrouble.SCHEMA:
            raise
        print("The rest needs the tables of this version, so it was not checked.")
        if bundle is not None:
            print("No support bundle was written.")
    print(f"Findings that need somebody: {problems}." if problems else "Nothing stands in the way.")
    return 1 if problems else 0


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise BundleNotWritten(
            T("The support bundle could not be written: %(why)s. Name another file.", why=error.strerror or str(error))
        ) from error
