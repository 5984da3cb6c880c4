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
