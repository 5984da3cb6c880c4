"""Commands that keep data, bring it back or remove it: backup, restore, verify, recount, erase, retention."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path

import app.features.models  # noqa: F401 - a table is in the backup only when its module is imported.
from app.cli.running import with_resources
from app.core import clock
from app.embedded_postgres import database_address
from app.features.keeping import erase as erasing
from app.features.keeping.backup import back_up
from app.features.keeping.backup_file import Manifest
from app.features.keeping.restore import restore as restore_from
from app.features.keeping.retention import DAILY, HOURLY, count_old, remove_old
from app.features.keeping.verify import compare_counts, verify_file
from app.features.keeping.verify import verify as problems_of
from app.features.tickets.views.kept_beside import TABLES, right_kept
from app.features.tickets.views.ticket_tally import rebuild_tally
from app.resources import Resources
from app.settings import Settings

OUT_OF_REACH = """\
Out of reach from here, and not changed:
  ServiceNow   records and notes say who shared them; remove the name there if you must
  Entra ID     the account itself
  logs         wherever you send them
  backups      made before now; a restored one brings the person back, so erase again"""


def backup(settings: Settings, options: argparse.Namespace) -> int:
    with database_address(settings) as database_url:
        report = back_up(database_url, options.file)
    print(f"The backup is in {options.file}: {_contents(report.manifest)}.")
    print(
        "Secrets in it are sealed with VAULT_KEYS: keep those apart from it. Names and what tickets say are in clear."
    )
    if report.left_out:
        print(f"Not the product's, so left out: {', '.join(report.left_out)}.")
    return 0


def restore(settings: Settings, options: argparse.Namespace) -> int:
    with database_address(settings) as database_url:
        report = restore_from(database_url, options.file)
    made_at = _moment(report.manifest.made_at)
    print(f"Restored from {options.file}: {_contents(report.manifest)}, as of {made_at}.")
    print(f"Jobs that ran then and run again: {report.jobs}.")
    print(f"Tickets and notes that are looked for in ServiceNow before anything is sent of them: {report.unsettled}.")
    print("Before you start web and worker:")
    print("  - the old system must be stopped: two of them would send everything twice")
    print("  - python -m app verify, with the VAULT_KEYS of the backup")
    print(f"What happened after {made_at} is not known here:")
    print("  - tickets shared since are in ServiceNow only; sharing their actions again would make second records")
    print("  - status tokens revoked since are good again, and people erased since are back: do both again")
    return 0


def verify(settings: Settings, options: argparse.Namespace) -> int:
    """The exit status is 1 when something is wrong."""
    sentences = [str(problem) for problem in verify_file(options.file)] if options.file else []

    async def look(resources: Resources) -> list[str]:
        found = [str(problem) async for problem in problems_of(resources)]
        if options.file and not found:
            async with resources.database.transaction() as session:
                found += [str(problem) for problem in await compare_counts(session, options.file)]
        return found

    sentences += with_resources(settings, look, patient=True)
    print(*(sentences or ["The database is whole." + (" So is the backup." if options.file else "")]), sep="\n")
    return 1 if sentences else 0


def recount(settings: Settings, _options: argparse.Namespace) -> int:
    """Everything may run meanwhile; commits of what pages show wait for it."""

    async def rebuild(resources: Resources) -> list[str]:
        async with resources.database.transaction() as session:
            wrong = len(await rebuild_tally(session))
        said = [f"Numbers of ticket_tally that were wrong and are corrected: {wrong}."]
        for table in TABLES:
            async with resources.database.transaction() as session:
                said.append(f"Rows of {table} that were wrong and are corrected: {await right_kept(session, table)}.")
        return said

    print(*with_resources(settings, rebuild, patient=True), sep="\n")
    return 0


def erase(settings: Settings, options: argparse.Namespace) -> int:
    """Without --yes nothing is changed, and the exit status is 2."""
    plan = with_resources(settings, lambda resources: erasing.plan_erasure(resources, options.person), patient=True)
    print(plan.person)
    for table, count in plan.rows.items():
        print(f"  {table}: {count} rows")
    if plan.is_removed:
        print("This person has been removed before.")
    if options.dry_run:
        print("Nothing was changed.")
        return 0
    if not options.yes:
        print("This cannot be taken back. Nothing was changed: add --yes to do it.", file=sys.stderr)
        return 2
    export = options.export or Path(f"person-{plan.person.id}-{clock.now():%Y%m%dT%H%M%SZ}.json")
    with_resources(settings, lambda resources: erasing.erase(resources, str(plan.person.id), export), patient=True)
    print(f"Removed. What was held before is in {export}: hand it over, then delete it.")
    print(OUT_OF_REACH)
    return 0


def retention(settings: Settings, options: argparse.Namespace) -> int:
    apply = count_old if options.dry_run else remove_old
    counts = with_resources(
        settings, lambda resources: apply(resources.database, resources.config, (*DAILY, *HOURLY)), patient=True
    )
    for name, count in counts.items():
        print(f"{name.replace('_', ' ')}: {count}")
    print("Nothing was deleted." if options.dry_run else "Deleted. The worker does it every night.")
    return 0


def _contents(manifest: Manifest) -> str:
    rows = {table.name: table.rows for table in manifest.tables}
    return f"{rows.get('ticket', 0)} tickets, {sum(rows.values())} rows in {len(rows)} tables, revision {manifest.revision}"


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"
