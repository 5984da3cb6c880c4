"""Checks Microsoft's side: the tenant, this application's credentials, Secure Score in Graph, and the clock."""

from __future__ import annotations

from app.features.provisioning.finding import Finding, State
from app.features.provisioning.finding_catalog import make_finding
from app.integrations.http.errors import Ambiguous, RemoteError, ServerError, Throttled, Unreachable
from app.integrations.microsoft.entra import WHY_UNREACHABLE
from app.resources import Resources

# A token of Entra ID is accepted up to five minutes beside our time (integrations/microsoft/entra.py); a person should know
# long before sign-ins fail.
CLOCK_TOLERANCE_SECONDS = 60


async def check_entra(resources: Resources) -> Finding:
    """Whether Entra ID knows the tenant, and gives this application a token for its ID and secret."""
    try:
        await resources.entra.ping()
        await resources.graph.renew_token()
    except RemoteError as error:
        return _failed("entra", error)
    return make_finding("entra")


async def check_graph(resources: Resources) -> Finding:
    """Whether Graph shows the Secure Score of this tenant; one day of it is read, and nothing kept."""
    if resources.config.shown_tenant_id != resources.config.tenant_id:
        return make_finding("graph:files")
    try:
        await resources.graph.renew_token()
    except RemoteError:  # `check_entra` says why.
        return make_finding("graph:no_token")
    try:
        days = [len(page.items) async for page in resources.graph.scores(top=1)]
    except RemoteError as error:
        return _failed("graph", error)
    return make_finding("graph" if any(days) else "graph:no_score")


async def check_microsoft_clock(resources: Resources) -> Finding:
    """How far our clock is from Microsoft's; tokens that are dated five minutes beside our time are refused."""
    try:
        ahead = await resources.entra.ping()
    except RemoteError as error:
        return make_finding("microsoft_clock:no_answer", meaning=error.message)
    return evaluate_microsoft_clock(ahead)


def evaluate_microsoft_clock(ahead: float | None) -> Finding:
    """`ahead` is how many seconds Microsoft's clock is ahead of ours, None where the answer named no time."""
    if ahead is None:
        return make_finding("microsoft_clock:no_time")
    seconds = round(ahead)
    if abs(seconds) <= CLOCK_TOLERANCE_SECONDS:
        return make_finding("microsoft_clock", seconds=abs(seconds))
    return make_finding("microsoft_clock:off", seconds=abs(seconds))


def _failed(what: str, error: RemoteError) -> Finding:
    if isinstance(error, Unreachable | Ambiguous):
        why = WHY_UNREACHABLE[error.why if isinstance(error, Unreachable) and error.why in WHY_UNREACHABLE else "other"]
        return make_finding(f"{what}_unreachable", why=why)
    # Microsoft's own trouble, which passes and needs no one here.
    state = State.NOTE if isinstance(error, ServerError | Throttled) else None
    return make_finding(f"{what}_refused", state=state, meaning=error.message)
