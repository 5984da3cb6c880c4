"""Checks the integration user: found, active, who it should be, and its roles."""

from __future__ import annotations

from app.core.errors import AppError
from app.core.messages import Message, T
from app.features.provisioning.checks.check_context import CheckContext, finding_for_error, user_screen
from app.features.provisioning.finding import Finding, State
from app.features.tickets.types import KINDS
from app.integrations.http.errors import RecordNotFound
from app.integrations.servicenow.probes import AccountRecord, find_account, list_roles

# `itil` holds the two others; the last one reads the lists of states and priorities.
ROLES_WANTED = ("itil", *(spec.least_role for spec in reversed(KINDS.values())), "personalize_choices")
READ_ONLY = "snc_read_only"


async def check_account(look: CheckContext) -> Finding:
    """Whether tickets are opened by the right account, and whether it can go on doing so."""
    checked = T("The record of the account that consented, and its roles.")
    sys_id = look.connection.user_sys_id
    if not sys_id:
        return Finding(
            "user_unknown", State.UNKNOWN, checked,
            T("ServiceNow does not let the integration user read its own record, so we cannot tell who consented."),
            advice=T("Open a ticket’s record in ServiceNow and look at “Opened by”: it must be the integration user."),
            screen=user_screen(look),
        )  # fmt: skip
    try:
        found = await look.ask(lambda client: find_account(client, sys_id))
        roles = await look.ask(lambda client: list_roles(client, sys_id))
    except RecordNotFound:
        return Finding(
            "user_missing", State.PROBLEM, checked,
            T("The account that consented is gone, or hidden from itself."),
            advice=T("Create the integration user again, or make it visible, and authorize again."),
            screen=user_screen(look),
            message=T(
                "Our connector can no longer read the record of its own user %(user)s in sys_user. Please look whether it "
                "was deleted, or whether an access rule hides it.", user=look.user,
            ),
        )  # fmt: skip
    except AppError as error:
        return finding_for_error(look, checked, error)
    return _judged(look, checked, found, roles)


def _judged(look: CheckContext, checked: Message, found: AccountRecord, roles: frozenset[str] | None) -> Finding:
    name = f"{found.name} ({found.user_name})" if found.name else found.user_name
    if found.active is False or found.locked_out is True:
        return Finding(
            "user_inactive", State.PROBLEM, checked, T("%(name)s is not active, or is locked out.", name=name),
            advice=T("Tick Active, and untick Locked out, in its record."), screen=user_screen(look),
            message=T("Please activate and unlock the user %(user)s.", user=found.user_name),
        )  # fmt: skip
    if roles is not None and READ_ONLY in roles:
        return Finding(
            "user_read_only", State.PROBLEM, checked,
            T("%(name)s has the role snc_read_only, which forbids tickets and new tokens.", name=name),
            advice=T("Remove the role snc_read_only from it."), screen=user_screen(look),
            message=T("Please remove the role snc_read_only from the user %(user)s.", user=found.user_name),
        )  # fmt: skip
    expected = look.connection.expected_user_name
    if expected and expected.casefold() != found.user_name.casefold():
        return Finding(
            "user_unexpected", State.NOTE, checked,
            T("Consented as %(name)s, while the set-up names %(expected)s. Somebody has confirmed that.",
              name=name, expected=expected),
            advice=T("To change it, press Authorize and sign in as the integration user."),
        )  # fmt: skip
    if found.web_service_only is True:
        return Finding(
            "user_web_service_only", State.NOTE, checked,
            T("%(name)s is marked “Web service access only”. Tickets flow, but it cannot consent again.", name=name),
            advice=T("Untick “Web service access only” before the consent ends: the login page refuses such accounts."),
            screen=user_screen(look),
            message=T(
                "Please untick “Web service access only” in the record of the user %(user)s: our connector authorizes with "
                "OAuth authorization codes, for which this user has to pass the login page.", user=found.user_name,
            ),
        )  # fmt: skip
    if roles is None:
        return Finding(
            "user", State.GOOD, checked, T("%(name)s is active. Its roles may not be read; the tables are tried.", name=name)
        )  # fmt: skip
    held = [role for role in ROLES_WANTED if role in roles]
    return Finding(
        "user", State.GOOD, checked,
        T("%(name)s is active, with these roles among others: %(roles)s.", name=name, roles=", ".join(held) or "–"),
    )  # fmt: skip
