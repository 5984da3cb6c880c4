"""A check's error becomes the finding it means, and every finding says what was examined."""

from __future__ import annotations

from dataclasses import replace

from app.core.messages import T
from app.features.provisioning.check_catalog import INTERNAL_CHECKS, Check, Stage
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.finding import Finding
from app.features.provisioning.finding_catalog import make_finding
from app.features.provisioning.run_check import run_check, run_internal_check
from app.integrations.http.errors import ServerError
from app.resources import Resources
from tests.factories.provisioning import check_context


async def finds(context: CheckContext) -> Finding:
    return context.finding("reachable")


async def fails(_context: CheckContext) -> Finding:
    raise ServerError


EXAMPLE: Check[CheckContext] = Check("example", Stage.REACH, T("%(origin)s is called."), finds, ("reachable",))


async def test_a_finding_says_what_was_examined() -> None:
    finding = await run_check(EXAMPLE, check_context())
    assert (finding.key, str(finding.checked)) == ("reachable", "https://contoso.service-now.com is called.")


async def test_an_error_becomes_the_finding_it_means() -> None:
    finding = await run_check(replace(EXAMPLE, run=fails), check_context())
    assert (finding.key, str(finding.checked)) == ("no_answer", "https://contoso.service-now.com is called.")


async def test_a_check_of_our_own_side_says_what_was_examined() -> None:
    async def finds_queue(_resources: Resources) -> Finding:
        return make_finding("no_worker", due=3)

    queue = next(check for check in INTERNAL_CHECKS if check.code == "queue")
    finding = await run_internal_check(replace(queue, run=finds_queue), check_context().resources)
    assert str(finding.meaning) == "No worker is running, so nothing is sent or refreshed. Jobs due: 3."
    assert "Workers that have reported" in str(finding.checked)
