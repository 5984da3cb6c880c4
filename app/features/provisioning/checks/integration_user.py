"""Checks the integration user: found, active, the account it should be, and its roles."""

from __future__ import annotations

from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.finding import Finding
from app.features.tickets.types import KINDS
from app.integrations.http.errors import RecordNotFound
from app.integrations.servicenow.probes import AccountRecord, find_account, list_roles

# `itil` holds the two next ones, and the last one reads the lists of states and priorities
# (docs/facts/servicenow.md#3-6-roles-for-the-integration-user).
ROLES_WANTED = ("itil", *(spec.least_role for spec in reversed(KINDS.values())), "personalize_choices")
READ_ONLY = "snc_read_only"


async def check_account(context: CheckContext) -> Finding:
    """Whether tickets are opened by the right account, and whether it can keep opening them."""
    sys_id = context.connection.user_sys_id
    if not sys_id:
        # Right after the consent sys_user did not answer, or hid the row; there is nothing to ask for now.
        return context.finding("user_unknown")
    try:
        # GET sys_user/<sys_id>, and sys_user_has_role, which often may not be read
        # (docs/facts/servicenow.md#3-6-roles-for-the-integration-user).
        account = await context.call(lambda client: find_account(client, sys_id))
        roles = await context.call(lambda client: list_roles(client, sys_id))
    except RecordNotFound:
        return context.finding("user_missing")
    return evaluate_account(context, account, roles)


def evaluate_account(context: CheckContext, account: AccountRecord, roles: frozenset[str] | None) -> Finding:
    """The most serious thing first; `roles` is None where they may not be read."""
    name = f"{account.name} ({account.user_name})" if account.name else account.user_name
    # A flag that may not be read is None, and says nothing.
    if account.active is False or account.locked_out is True:
        return context.finding("user_inactive", name=name, user=account.user_name)
    if roles is not None and READ_ONLY in roles:
        return context.finding("user_read_only", name=name, user=account.user_name)
    expected = context.connection.expected_user_name
    # Without regard to case: what was typed on the set-up form need not be spelled as the record is.
    if expected and expected.casefold() != account.user_name.casefold():
        return context.finding("user_unexpected", name=name, expected=expected)
    if account.web_service_only is True:
        return context.finding("user_web_service_only", name=name)
    if roles is None:
        return context.finding("user:roles_hidden", name=name)
    held = [role for role in ROLES_WANTED if role in roles]
    return context.finding("user", name=name, roles=", ".join(held) or "–")
