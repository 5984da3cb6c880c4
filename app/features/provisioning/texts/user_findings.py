"""Texts about the integration user: whether it is the right account, and what it may do."""

from __future__ import annotations

from app.core.messages import T
from app.features.provisioning.finding import FindingText, State
from app.features.provisioning.texts.screens import USER_RECORD

# fmt: off
USER = T("Integration user")

USER_FINDINGS = {
    "user": FindingText(State.GOOD, USER, T("%(name)s is active, with these roles among others: %(roles)s.")),
    "user:roles_hidden": FindingText(
        State.GOOD, USER, T("%(name)s is active. Its roles may not be read; the tables are tried."),
    ),
    "user_unknown": FindingText(
        State.UNKNOWN, USER,
        T("ServiceNow does not let the integration user read its own record, so we cannot tell who consented."),
        advice=T("Open a ticket’s record in ServiceNow and look at “Opened by”: it must be the integration user."),
        screen=USER_RECORD,
    ),
    # 404 means both: docs/facts/servicenow.md#2-6-error-envelope.
    "user_missing": FindingText(
        State.PROBLEM, USER, T("The account that consented is gone, or hidden from itself."),
        advice=T("Create the integration user again, or make it visible, and authorize again."),
        screen=USER_RECORD,
        message=T(
            "Our connector can no longer read the record of its own user %(user)s in sys_user. Please look whether it "
            "was deleted, or whether an access rule hides it."
        ), needs_consent=True,
    ),
    "user_inactive": FindingText(
        State.PROBLEM, USER, T("%(name)s is not active, or is locked out."),
        advice=T("Tick Active, and untick Locked out, in its record."), screen=USER_RECORD,
        message=T("Please activate and unlock the user %(user)s."),
    ),
    # It forbids writing to oauth_credential as well: docs/facts/servicenow.md#1-5-error-responses-of-oauth-token-do.
    "user_read_only": FindingText(
        State.PROBLEM, USER, T("%(name)s has the role snc_read_only, which forbids tickets and new tokens."),
        advice=T("Remove the role snc_read_only from it."), screen=USER_RECORD,
        message=T("Please remove the role snc_read_only from the user %(user)s."),
    ),
    "user_unexpected": FindingText(
        State.NOTE, USER, T("Consented as %(name)s, while the set-up names %(expected)s. Somebody has confirmed that."),
        advice=T("To change it, press Authorize and sign in as the integration user."),
    ),
    # docs/facts/servicenow.md#1-8-the-integration-user-the-central-contradiction
    "user_web_service_only": FindingText(
        State.NOTE, USER, T("%(name)s is marked “Web service access only”. Tickets flow, but it cannot consent again."),
        advice=T("Untick “Web service access only” before the consent ends: the login page refuses such accounts."),
        screen=USER_RECORD,
        message=T(
            "Please untick “Web service access only” in the record of the user %(user)s: our connector authorizes with "
            "OAuth authorization codes, for which this user has to pass the login page."
        ),
    ),
}
