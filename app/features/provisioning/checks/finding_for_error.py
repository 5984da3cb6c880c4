"""What each error of a call to ServiceNow means for the connection, whichever check met it. Calls nothing."""

from __future__ import annotations

from typing import TypeGuard

from app.core.errors import AppError
from app.core.messages import Message
from app.features.connection.active_connection import NotConnected
from app.features.connection.token_errors import NoToken, StoredOriginRefused
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.finding import Finding
from app.integrations.http.errors import Forbidden, InvalidResponse, ServerError, Throttled, Unreachable
from app.integrations.servicenow.auth_scope import SCOPE_MISSING

# ServiceNow's own words, from the table of docs/facts/servicenow.md#2-6-error-envelope: stable parts of `message` and
# `detail`, which name the kind of rule. They are looked for in what ServiceNow said and never in our sentences.
API_ACL = "API level ACL"
RECORD_ACL = "ACL Exception"
# A query rule, and no rule of the table, has refused: docs/facts/servicenow.md#2-3-encoded-query.
QUERY_RULE = "Insufficient rights to query records"

# The codes of `Unreachable.why` that have texts of their own.
UNREACHABLE_CODES = {
    "name": "dns",
    "address": "private_address",
    "origin": "private_address:stored",
    "tls": "tls",
    "proxy": "proxy",
    "refused": "unreachable:refused",
    "slow": "unreachable:slow",
}


def is_about_rights(error: AppError) -> TypeGuard[Forbidden]:
    """Whether the API itself refused this one call; an address rule refuses every call before the API sees it."""
    return isinstance(error, Forbidden) and not error.is_instance_wide


def is_access_rule(remote_text: str) -> bool:
    """Whether an access rule refused a record, and no business rule or data policy."""
    return RECORD_ACL in remote_text or API_ACL in remote_text


def remote_text_of(problem: Message) -> str:
    """What ServiceNow said, from the problem that a ticket keeps: the value that its refusal's message was given."""
    return str(problem.values.get("reason", ""))


def finding_for_error(context: CheckContext, error: AppError) -> Finding:
    """What a failed call says about the connection, for any purpose of the call."""
    match error:
        case StoredOriginRefused():
            return unreachable(context, error)
        # NoToken is an Unreachable, but it is the token service that failed, and the network is in order.
        case Unreachable() if not isinstance(error, NoToken):
            return unreachable(context, error)
        case Throttled():
            return throttled(context, error)
        case Forbidden() if error.code == SCOPE_MISSING.code:
            return context.finding("auth_scope_missing", meaning=error.message)
        case Forbidden() if API_ACL in error.remote_text:
            return context.finding("role_missing.api", meaning=error.message)
        case Forbidden() if error.is_instance_wide:
            return context.finding("refused:address", meaning=error.message)
        case Forbidden():
            return context.finding("refused", meaning=error.message, why=error.message)
        case ServerError() | InvalidResponse():
            return context.finding("no_answer", meaning=error.message, why=error.message)
        case NotConnected():
            return context.finding("authorize", meaning=error.message)
        case _:
            # Also InstancePaused: nothing was sent, and the pause's reason is the message.
            return context.finding("trouble", meaning=error.message)


def unreachable(context: CheckContext, error: Unreachable) -> Finding:
    """Nothing was sent; the cause decides who can help."""
    return context.finding(UNREACHABLE_CODES.get(error.why, "unreachable"), meaning=error.message)


def throttled(context: CheckContext, error: Throttled) -> Finding:
    """A rule with a limit, or all workers of the node busy: the first names a time, the second does not.

    docs/facts/servicenow.md#5-limits-failures-sleeping-instances
    """
    if error.seconds is None:
        return context.finding("rate_limit:busy")
    return context.finding("rate_limit", seconds=round(error.seconds))
