"""Commands about the audit log."""

from __future__ import annotations

import sys

from app.cli.running import with_resources
from app.features.accounts.audit_verify import ChainReport, log_head, verify_chain
from app.resources import Resources
from app.settings import Settings


def verify(settings: Settings) -> int:
    """Print whether the audit log is whole. The exit status is 1 when it is not, and each break is named."""
    report = with_resources(settings, read_chain)
    print(f"Entries read: {report.entries}. Removed by retention: {report.removed}. Person erased: {report.erased}.")
    print(f"Hash of the newest entry: {report.head}")
    for found in report.breaks:
        print(found.sentence, file=sys.stderr)
    if report.breaks:
        return 1
    print("The audit log is whole. Compare the hash with the newest audit.head of a log outside of this database.")
    return 0


async def read_chain(resources: Resources) -> ChainReport:
    """What the chain says now; its head is logged as well."""
    async with resources.database.transaction() as session:
        report = await verify_chain(session)
        await log_head(session)
    return report
