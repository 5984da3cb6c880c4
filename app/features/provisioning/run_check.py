"""Runs one check and turns an error into the finding it means. Keeps nothing."""

from __future__ import annotations

from dataclasses import replace

from app.core.errors import AppError
from app.features.provisioning.check_catalog import Check
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.checks.finding_for_error import finding_for_error
from app.features.provisioning.finding import Finding
from app.resources import Resources


async def run_check(check: Check[CheckContext], context: CheckContext) -> Finding:
    """What the check found, with what it examined."""
    try:
        finding = await check.run(context)
    except AppError as error:
        finding = finding_for_error(context, error)
    return replace(finding, checked=context.fill(check.examines))


async def run_internal_check(check: Check[Resources], resources: Resources) -> Finding:
    """The finding of a check of our own processes. An error is raised: it is a fault in this product, not a finding."""
    return replace(await check.run(resources), checked=check.examines)
