"""The steps between connected and working, in their order, and which of them cards cannot do without. Checks nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from app.core.messages import Message, T
from app.features.provisioning.checks.authorization import check_client, check_release, check_renewal
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.checks.connectivity import check_clock, check_reach
from app.features.provisioning.checks.integration_user import check_account
from app.features.provisioning.checks.tables import check_choices, check_correlation, check_table
from app.features.provisioning.finding import Finding
from app.features.tickets.types import KINDS, TicketKind

Check = Callable[[CheckContext], Awaitable[Finding]]


@dataclass(frozen=True)
class Step:
    """`blocks` means that nothing after it can be checked while it fails; `kinds` are the cards that need it."""

    key: str
    title: Message
    check: Check
    blocks: bool = False
    kinds: frozenset[TicketKind] = frozenset()


BOTH = frozenset(TicketKind)

STEPS = (
    Step("reach", T("Instance reachable and awake"), check_reach, blocks=True, kinds=BOTH),
    Step("token", T("Token works and can be renewed"), check_renewal, blocks=True, kinds=BOTH),
    Step("release", T("Release"), check_release),
    Step("client", T("OAuth client"), check_client),
    Step("account", T("Integration user and its roles"), check_account, kinds=BOTH),
    *(
        Step(kind.value, spec.step_title, partial(check_table, kind=kind), kinds=frozenset({kind}))
        for kind, spec in KINDS.items()
    ),
    Step("choices", T("Lists of states"), check_choices),
    Step("correlation", T("Tickets are found again by our id"), check_correlation, kinds=BOTH),
    Step("clock", T("Clocks agree"), check_clock),
)
# The last step is no check: it is the outcome of the others.
CARDS = "cards"
CARDS_TITLE = T("Cards on the home page")
BY_KEY = {step.key: step for step in STEPS}
KEYS = tuple(BY_KEY)


def following(key: str) -> tuple[Step, ...]:
    """The steps after this one."""
    return STEPS[KEYS.index(key) + 1 :]
