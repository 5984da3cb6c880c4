"""Choice values of a new instance in English, and the states in German. Data only."""
# See docs/facts/servicenow.md#4-4-choices, #4-1-incident and #4-2-change-request

from __future__ import annotations

CHOICES: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("incident", "state"): (
        ("1", "New"),
        ("2", "In Progress"),
        ("3", "On Hold"),
        ("6", "Resolved"),
        ("7", "Closed"),
        ("8", "Canceled"),
    ),
    ("change_request", "state"): (
        ("-5", "New"),
        ("-4", "Assess"),
        ("-3", "Authorize"),
        ("-2", "Scheduled"),
        ("-1", "Implement"),
        ("0", "Review"),
        ("3", "Closed"),
        ("4", "Canceled"),
    ),
    ("task", "priority"): (
        ("1", "1 - Critical"),
        ("2", "2 - High"),
        ("3", "3 - Moderate"),
        ("4", "4 - Low"),
        ("5", "5 - Planning"),
    ),
    ("change_request", "priority"): (
        ("1", "1 - Critical"),
        ("2", "2 - High"),
        ("3", "3 - Moderate"),
        ("4", "4 - Low"),
    ),
    ("task", "impact"): (("1", "1 - High"), ("2", "2 - Medium"), ("3", "3 - Low")),
    ("task", "urgency"): (("1", "1 - High"), ("2", "2 - Medium"), ("3", "3 - Low")),
    ("change_request", "type"): (("normal", "Normal"), ("standard", "Standard"), ("emergency", "Emergency")),
    ("change_request", "risk"): (("2", "High"), ("3", "Moderate"), ("4", "Low")),
    ("change_request", "scope"): (("1", "Massive"), ("2", "Large"), ("3", "Medium"), ("4", "Small"), ("5", "Tiny")),
    ("change_request", "phase"): (
        ("requested", "Requested"),
        ("plan", "Plan"),
        ("build", "Build"),
        ("deploy", "Deploy"),
        ("post_deploy", "Post deploy"),
    ),
    ("task", "approval"): (
        ("not requested", "Not Yet Requested"),
        ("requested", "Requested"),
        ("approved", "Approved"),
        ("rejected", "Rejected"),
        ("cancelled", "No Longer Required"),
    ),
    ("task", "escalation"): (("0", "Normal"), ("1", "Moderate"), ("2", "High"), ("3", "Overdue")),
    ("task", "upon_approval"): (
        ("proceed", "Proceed to Next Task"),
        ("do_nothing", "Wait for a User to Close this task"),
    ),
    ("task", "upon_reject"): (("cancel", "Cancel all future Tasks"), ("goto", "Go to a previous Task")),
    ("task", "contact_type"): (
        ("email", "Email"),
        ("phone", "Phone"),
        ("self-service", "Self-service"),
        ("virtual_agent", "Virtual Agent"),
        ("walk-in", "Walk-in"),
    ),
    ("change_request", "category"): (
        ("Hardware", "Hardware"),
        ("Software", "Software"),
        ("Service", "Service"),
        ("Network", "Network"),
        ("Other", "Other"),
    ),
    ("change_request", "close_code"): (
        ("successful", "Successful"),
        ("successful_issues", "Successful with issues"),
        ("unsuccessful", "Unsuccessful"),
    ),
    ("incident", "category"): (
        ("inquiry", "Inquiry / Help"),
        ("software", "Software"),
        ("hardware", "Hardware"),
        ("network", "Network"),
    ),
    ("incident", "close_code"): tuple(
        (text, text)
        for text in (
            "Solution provided",
            "Workaround provided",
            "Duplicate",
            "Known error",
            "Resolved by caller",
            "Resolved by change",
            "Resolved by problem",
            "User error",
        )
    ),
    ("incident", "hold_reason"): (
        ("1", "Awaiting Caller"),
        ("3", "Awaiting Problem"),
        ("4", "Awaiting Vendor"),
        ("5", "Awaiting Change"),
    ),
}
GERMAN: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("incident", "state"): (
        ("1", "Neu"),
        ("2", "In Bearbeitung"),
        ("3", "Angehalten"),
        ("6", "Gelöst"),
        ("7", "Geschlossen"),
        ("8", "Storniert"),
    ),
    ("change_request", "state"): (
        ("-5", "Neu"),
        ("-4", "Bewerten"),
        ("-3", "Genehmigen"),
        ("-2", "Geplant"),
        ("-1", "Umsetzen"),
        ("0", "Prüfen"),
        ("3", "Geschlossen"),
        ("4", "Storniert"),
    ),
}
# Rows that are no longer in use, each beside one of the same value that is: docs/facts/servicenow.md#4-4-choices
RETIRED = (
    ("incident", "state", "3", "Awaiting Problem"),
    ("incident", "state", "2", "Active"),
    ("change_request", "state", "3", "Closed Complete"),
    ("task", "priority", "1", "Very high"),
)
