"""Texts about the two ticket tables: reading, creating, changing, lists of states, look-ups, query rules."""

from __future__ import annotations

from app.core.messages import T
from app.features.provisioning.finding import FindingText, State
from app.features.provisioning.texts.screens import ACCESS_RULES, RECORD_RULES, USER_RECORD
from app.features.tickets.types import KINDS

# fmt: off
TABLE, STATES, OUR_ID, QUERY_RULES = T("Table"), T("Lists of states"), T("Our id"), T("Query rules")
# The headings of the keys "table_change" and "table_incident".
TABLE_TITLES = {f"table_{kind.value}": spec.table_title for kind, spec in KINDS.items()}
# A right that is missing, as a part of the sentence of "role_missing".
RIGHT_NAMES = {"read": T("reading"), "write": T("changing"), "create": T("creating")}
NO_RECORD, SOME_RECORDS = T("no record yet"), T("records are visible")
# Why a right is known to be missing, where ServiceNow did not say so in words.
HIDES_ALL = T("Records there: %(count)s. The integration user sees none of them.")
NO_CREATING_ROLE = T("The integration user has none of the roles that may create records in %(table)s.")
# For a right that held tickets have shown to be missing.
WITH_HELD = T("%(why)s (%(count)s held)")
SEND_AGAIN = T("%(advice)s Then send the held tickets again: the first that arrives ends this finding.")

TABLE_FINDINGS = {
    "table:created": FindingText(State.GOOD, TABLE, T("Reading and changing are allowed, and %(number)s was created.")),
    # The list's limit is applied before access rules are: docs/facts/servicenow.md#2-5-pagination-headers.
    "table:newest_hidden": FindingText(
        State.UNKNOWN, TABLE,
        T("Access rules hide the newest records from the integration user. Whether it sees any of the %(count)s cannot be "
          "known by looking."),
        advice=T("Look in ServiceNow whether the integration user sees the tickets that it has opened itself."),
        screen=ACCESS_RULES,
    ),
    "table:roles_allow": FindingText(
        State.UNKNOWN, TABLE,
        T("Reading and changing are not refused, and the roles allow creating (%(roles)s). Only the first ticket proves it."),
    ),
    "table:untried": FindingText(
        State.UNKNOWN, TABLE,
        T("Reading works (%(seen)s) and changing is not refused. Whether creating works cannot be known without creating a "
          "ticket: the first one will show it."),
        advice=T("Share one action as a test, or compare the roles: %(role)s or itil is needed."),
        screen=USER_RECORD,
    ),
    # docs/facts/servicenow.md#3-6-roles-for-the-integration-user
    "role_missing": FindingText(
        State.PROBLEM, T("Role missing"), T("%(what)s records in %(table)s is not allowed. %(why)s"),
        advice=T(
            "Give the integration user the role itil, or, as the least that suffices, %(role)s with "
            "snc_platform_rest_api_access (they come with the plugin ITSM Roles)."
        ),
        screen=USER_RECORD,
        message=T(
            "The user %(user)s needs to read, create and change records in %(table)s through the Table API. Please give it "
            "the role itil, or %(role)s and snc_platform_rest_api_access. ServiceNow said: %(why)s"
        ),
    ),
    "create_refused": FindingText(
        State.PROBLEM, T("Creating refused"),
        T("A rule of the instance refused to create records in %(table)s (%(count)s held). %(why)s"),
        advice=T("Change what the rule objects to (Tickets, those that are held, Edit), or have the rule changed, and send "
                 "them again. The first one that arrives ends this finding."),
        screen=RECORD_RULES,
        message=T(
            "A rule refuses records that our user %(user)s creates in %(table)s through the Table API. Please let them pass, "
            "or tell us what they have to hold. ServiceNow said: %(why)s"
        ),
    ),
    # Data policies apply to the Table API as well: docs/facts/servicenow.md#2-6-error-envelope.
    "create_refused:mandatory": FindingText(
        State.PROBLEM, T("Creating refused"),
        T("Records in %(table)s must have fields that tickets leave empty: %(fields)s (%(count)s held). %(why)s"),
        advice=T("Give these fields a fixed value (ServiceNow, Configuration, Field values), and send all that are held for "
                 "them again there. The first one that arrives ends this finding."),
        screen=RECORD_RULES,
        message=T(
            "Which values should records of our user %(user)s have in these mandatory fields of %(table)s: %(fields)s? "
            "Or please exempt them from the data policy. ServiceNow said: %(why)s"
        ),
    ),
    "choices": FindingText(State.GOOD, STATES, T("Readable: %(counts)s.")),
    "choices_not_readable": FindingText(
        State.NOTE, STATES,
        T("The lists may not be read. States are shown by the names that records bring along, as they appear."),
        advice=T("Give the integration user the role personalize_choices to see all states beforehand."),
        screen=USER_RECORD,
        message=T("Please give the user %(user)s the role personalize_choices, so that it can read lists of states."),
    ),
    "correlation": FindingText(State.GOOD, OUR_ID, T("%(number)s was found again by our id.")),
    "correlation:no_ticket": FindingText(
        State.UNKNOWN, OUR_ID, T("Looking up works. Whether ServiceNow stores our id is seen with the first ticket."),
    ),
    "correlation_lost": FindingText(
        State.NOTE, OUR_ID,
        T("%(number)s was not found again by our id: it was deleted, hidden, or its id was changed."),
        advice=T("Open the ticket and look at its correlation ID: it should be %(id)s."),
        screen=T("The record %(number)s, field Correlation ID"),
        message=T("The correlation ID of %(number)s should be %(id)s. Please look who changed it, and set it back."),
    ),
    # A condition on a field that may not be read is dropped: docs/facts/servicenow.md#2-3-encoded-query.
    "correlation_ignored": FindingText(
        State.PROBLEM, OUR_ID, T("%(table)s answers a look-up by our id with other people’s records: it ignores the field."),
        advice=T("Allow the integration user to read the field correlation_id. Until then we could not tell our tickets "
                 "from others."),
        screen=ACCESS_RULES,
        message=T("Please let the user %(user)s read the field correlation_id of %(table)s."),
    ),
    "correlation_hidden": FindingText(
        State.PROBLEM, OUR_ID,
        advice=T("Allow the integration user to read the field correlation_id, and our tickets whatever their state. Until "
                 "then a ticket whose answer is lost waits for a person."),
        screen=ACCESS_RULES,
        message=T(
            "Please let the user %(user)s read the field correlation_id of incident and change_request, in every record "
            "that it has opened. We found: %(why)s"
        ),
    ),
    "correlation_refused": FindingText(
        State.PROBLEM, OUR_ID,
        advice=T(
            "Allow the integration user to query the field correlation_id (a query_match rule). Without that we could "
            "not see whether a ticket has arrived, so none is sent twice, but some would wait for a person."
        ),
        screen=ACCESS_RULES,
        message=T(
            "Please let the user %(user)s query the field correlation_id of incident and change_request (an access rule "
            "of the operation query_match). ServiceNow said: %(why)s"
        ),
    ),
    "query_acl": FindingText(State.GOOD, QUERY_RULES, T("Asking by time is allowed.")),
    # Range operators have an access rule of their own: docs/facts/servicenow.md#2-3-encoded-query.
    "query_acl:range_refused": FindingText(
        State.NOTE, QUERY_RULES,
        T("A query rule (query_range) refuses to list what changed. Each ticket is read by its key in its place, open ones "
          "and those closed in the last 90 days within ten minutes, older ones once a day. %(why)s"),
        advice=T("For quicker refreshes, allow the integration user range operators on sys_updated_on."),
        screen=ACCESS_RULES,
        message=T(
            "Please let the user %(user)s use range operators on sys_updated_on of incident and change_request (an access "
            "rule of the operation query_range)."
        ),
    ),
    # A query on a field that may not be queried can answer without rows: docs/facts/servicenow.md#2-3-encoded-query.
    "query_acl:changes_not_listed": FindingText(
        State.NOTE, QUERY_RULES,
        T("ServiceNow answers when we ask what changed, but leaves out records that it shows us one by one. Each ticket is "
          "read by its key in its place, open ones and those closed in the last 90 days within ten minutes, older ones "
          "once a day."),
        advice=T("Let the integration user query sys_updated_on and correlation_display, with range operators and sorting."),
        screen=ACCESS_RULES,
        message=T(
            "Please let the user %(user)s query sys_updated_on and correlation_display of incident and change_request "
            "(access rules of the operations query_match and query_range). A query on them leaves out changed records."
        ),
    ),
}
