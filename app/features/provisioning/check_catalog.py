"""The one list of checks: provisioning steps, diagnosis and docs/findings.md derive from it. Runs nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Generic, TypeVar

from app.core.messages import Message, T
from app.features.provisioning.checks.authorization import (
    check_client,
    check_consent,
    check_last_attempt,
    check_release,
    check_renewal,
    check_scope,
    check_token,
    has_unfinished_attempt,
)
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.checks.connectivity import check_clock, check_consent_page, check_reach
from app.features.provisioning.checks.integration_user import check_account
from app.features.provisioning.checks.internal import (
    QUEUE_EXAMINED,
    check_import,
    check_keys,
    check_queue,
    check_storage,
    check_tickets,
)
from app.features.provisioning.checks.microsoft_access import check_entra, check_graph, check_microsoft_clock
from app.features.provisioning.checks.settings_in_force import check_settings
from app.features.provisioning.checks.tables import check_choices, check_correlation, check_ranges, check_table
from app.features.provisioning.finding import Finding
from app.features.tickets.types import KINDS, KindSpec, TicketKind
from app.resources import Resources

Subject = TypeVar("Subject", CheckContext, Resources)


class Stage(StrEnum):
    """Where a check stands in the diagnosis. A stage is not entered when a check that blocks failed in one before it."""

    REACH = "reach"
    AUTHORIZATION = "authorization"
    ACCESS = "access"
    INTERNAL = "internal"


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """A check: what it examines, when it runs and what it may find.

    `step_title` makes it a provisioning step, with `code` as the step's key. `in_diagnosis` makes it a part of the
    diagnosis. `findings` are the codes it may give, besides those that any failed call may end in.

    `blocks` means that nothing after it can be checked while it fails. `kinds` are the ticket kinds whose card on the
    home page is hidden while it fails. `needs_connection` is false where an address alone suffices; `applies` says
    whether there is anything to examine.
    """

    code: str
    stage: Stage
    examines: Message
    run: Callable[[Subject], Awaitable[Finding]]
    findings: tuple[str, ...]
    step_title: Message | None = None
    in_diagnosis: bool = True
    blocks: bool = False
    kinds: frozenset[TicketKind] = frozenset()
    needs_connection: bool = True
    applies: Callable[[Subject], bool] = lambda _subject: True


BOTH = frozenset(TicketKind)
# Findings of a refused token renewal. Every check that uses the token may end in one of them.
TOKEN_CODES = (
    "vault_keys", "vault_keys:lost", "vault_keys:moved", "token_service", "user_unconfirmed", "consent_expired", "token_refused",
    "consent_refused", "consent_refused:invalid_client", "consent_refused:unsupported_grant_type",
    "consent_refused:unauthorized_client", "consent_refused:invalid_scope", "consent_refused:invalid_grant",
)  # fmt: skip
# What any call to ServiceNow may end in: checks/finding_for_error.py.
ERROR_CODES = (
    "dns", "private_address", "private_address:stored", "tls", "proxy", "unreachable", "unreachable:refused",
    "unreachable:slow", "rate_limit", "rate_limit:busy", "auth_scope_missing", "role_missing.api", "refused",
    "refused:address", "no_answer", "authorize", "trouble",
)  # fmt: skip


def _table_check(spec: KindSpec) -> Check[CheckContext]:
    return Check(
        code=spec.kind.value,
        stage=Stage.ACCESS,
        examines=T(
            "In the table %(table)s, records are read, and one that does not exist is changed. Nothing is left behind.",
            table=spec.table,
        ),
        run=partial(check_table, kind=spec.kind),
        findings=(
            "table:created", "table:roles_allow", "table:untried", "table:newest_hidden", "role_missing", "create_refused",
            "create_refused:mandatory",
        ),
        step_title=spec.step_title,
        kinds=frozenset({spec.kind}),
    )  # fmt: skip


# In the order of the diagnosis, and of the steps.
CHECKS: tuple[Check[CheckContext], ...] = (
    Check(
        code="reach",
        stage=Stage.REACH,
        examines=T("%(origin)s is called without a token."),
        run=check_reach,
        findings=(
            "reachable", "asleep", "sso_before_api", "ip_filter", "gateway", "not_servicenow", "unreachable:no_answer",
        ),
        step_title=T("Instance reachable and awake"),
        blocks=True,
        kinds=BOTH,
        needs_connection=False,
    ),
    # In the first stage, so that it is said even where the instance cannot be reached.
    Check(
        code="last_attempt",
        stage=Stage.REACH,
        examines=T("The authorization that was begun last."),
        run=check_last_attempt,
        findings=("authorization_denied", "authorization_failed", "authorization_unfinished"),
        needs_connection=False,
        applies=has_unfinished_attempt,
    ),
    Check(
        code="consent_page",
        stage=Stage.AUTHORIZATION,
        examines=T("The consent page is opened as a browser would, signed in as nobody."),
        run=check_consent_page,
        findings=(
            "consent_page", "consent_page:no_answer", "consent_page:unreadable", "consent_page:unknown",
            "redirect_mismatch", "client_unknown",
            "sso",
        ),
        needs_connection=False,
    ),
    # Renewing changes something, so that the diagnosis only uses the token, and the step renews it as well.
    Check(
        code="token_in_use",
        stage=Stage.AUTHORIZATION,
        examines=T("The access token is used to ask who we are."),
        run=check_token,
        findings=("token", *TOKEN_CODES),
        blocks=True,
    ),
    Check(
        code="token",
        stage=Stage.AUTHORIZATION,
        examines=T("The access token is renewed with the refresh token, and then used to ask who we are."),
        run=check_renewal,
        findings=("token:renewed", *TOKEN_CODES),
        step_title=T("Token works and can be renewed"),
        in_diagnosis=False,
        blocks=True,
        kinds=BOTH,
    ),
    Check(
        code="consent",
        stage=Stage.AUTHORIZATION,
        examines=T("The day on which the refresh token ends."),
        run=check_consent,
        findings=(
            "consent", "consent:no_refresh_token", "consent_ends_soon", "consent_ends_soon:at_once", "consent_expired",
        ),
    ),
    Check(
        code="scope",
        stage=Stage.AUTHORIZATION,
        examines=T("The scope that came with the access token."),
        run=check_scope,
        findings=("scope", "scope:none", "scope:other"),
    ),
    Check(
        code="release",
        stage=Stage.ACCESS,
        examines=T("The properties that name the build."),
        run=check_release,
        findings=("release", "release:unknown", "release_too_old"),
        step_title=T("Release"),
        kinds=BOTH,
    ),
    Check(
        code="client",
        stage=Stage.ACCESS,
        examines=T("The record of the client in the table oauth_entity."),
        run=check_client,
        findings=(
            "client", "client_not_visible", "client_inactive", "redirect_mismatch:record", "client_lifespans",
            "client_query_refused", "client_cross_scope",
        ),
        step_title=T("OAuth client"),
    ),
    Check(
        code="account",
        stage=Stage.ACCESS,
        examines=T("The record of the account that consented, and its roles."),
        run=check_account,
        findings=(
            "user", "user:roles_hidden", "user_unknown", "user_missing", "user_inactive", "user_read_only",
            "user_unexpected", "user_web_service_only",
        ),
        step_title=T("Integration user and its roles"),
        kinds=BOTH,
    ),
    *(_table_check(spec) for spec in KINDS.values()),
    Check(
        code="choices",
        stage=Stage.ACCESS,
        examines=T("The lists of states of both tables."),
        run=check_choices,
        findings=("choices", "choices_not_readable"),
        step_title=T("Lists of states"),
    ),
    # No step: where range operators are refused, polling goes by the tickets' keys, and no card depends on it.
    Check(
        code="ranges",
        stage=Stage.ACCESS,
        examines=T("Both tables are asked for what changed since a day."),
        run=check_ranges,
        findings=("query_acl", "query_acl:range_refused", "query_acl:changes_not_listed"),
    ),
    Check(
        code="correlation",
        stage=Stage.ACCESS,
        examines=T("An id that was made a moment ago is looked for, and then that of the newest ticket."),
        run=check_correlation,
        findings=(
            "correlation", "correlation:no_ticket", "correlation_lost", "correlation_ignored", "correlation_hidden",
            "correlation_refused",
        ),
        step_title=T("Tickets are found again by our id"),
        kinds=BOTH,
    ),
    # Last, because it blocks nothing; it needs no token, and so is made for an attempt as well.
    Check(
        code="clock",
        stage=Stage.ACCESS,
        examines=T("The time in an answer is compared with this server’s clock."),
        run=check_clock,
        findings=("clock", "clock:off", "clock:no_time", "clock:no_answer"),
        step_title=T("Clocks agree"),
        needs_connection=False,
    ),
)  # fmt: skip

# Our own side and Microsoft's: these need no connection, and run regardless of what the others found.
INTERNAL_CHECKS: tuple[Check[Resources], ...] = (
    Check(
        code="settings",
        stage=Stage.INTERNAL,
        examines=T("The settings in force: whether addresses are https, and what may not be meant so."),
        run=check_settings,
        findings=("settings", "settings_notable", "settings_unsafe"),
    ),
    Check(
        code="entra",
        stage=Stage.INTERNAL,
        examines=T("Entra ID is asked for its description of the tenant, and for a token for this application."),
        run=check_entra,
        findings=("entra", "entra_unreachable", "entra_refused"),
    ),
    Check(
        code="graph",
        stage=Stage.INTERNAL,
        examines=T("One day of the Secure Score is read from Microsoft Graph."),
        run=check_graph,
        findings=("graph", "graph:no_score", "graph:files", "graph:no_token", "graph_unreachable", "graph_refused"),
    ),
    Check(
        code="microsoft_clock",
        stage=Stage.INTERNAL,
        examines=T("The time in Entra ID’s answer is compared with this server’s clock."),
        run=check_microsoft_clock,
        findings=(
            "microsoft_clock",
            "microsoft_clock:off",
            "microsoft_clock:no_time",
            "microsoft_clock:no_answer",
        ),
    ),
    Check(
        code="storage",
        stage=Stage.INTERNAL,
        examines=T("A row is written to PostgreSQL and taken back."),
        run=check_storage,
        findings=("storage", "storage_refused"),
    ),
    Check(
        code="keys",
        stage=Stage.INTERNAL,
        examines=T("The reports of running processes: which keys of VAULT_KEYS each holds."),
        run=check_keys,
        findings=("keys", "keys_differ"),
    ),
    Check(
        code="queue",
        stage=Stage.INTERNAL,
        examines=QUEUE_EXAMINED,
        run=check_queue,
        findings=("queue", "no_worker", "queue_stuck", "jobs_failed"),
    ),
    Check(
        code="tickets",
        stage=Stage.INTERNAL,
        examines=T("Tickets that wait for a person or for ServiceNow."),
        run=check_tickets,
        findings=("tickets", "tickets_held"),
    ),
    Check(
        code="import",
        stage=Stage.INTERNAL,
        examines=T("When the Secure Score was last imported, and of which day it is."),
        run=check_import,
        findings=("import", "import:fresh", "import_missing", "import_stale", "score_stale"),
    ),
)
