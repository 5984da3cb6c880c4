"""The tables the stand-in knows: their fields, references, choices and seeds. Facts only; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.servicenow.store import Record, Store

COMMON = ("sys_id", "sys_created_on", "sys_created_by", "sys_updated_on", "sys_updated_by", "sys_mod_count")
TASK = (
    *COMMON,
    "number",
    "short_description",
    "description",
    "state",
    "priority",
    "impact",
    "urgency",
    "active",
    "opened_by",
    "opened_at",
    "closed_at",
    "due_date",
    "assignment_group",
    "assigned_to",
    "correlation_id",
    "correlation_display",
    "approval",
    "close_code",
    "close_notes",
    "sys_class_name",
    "work_notes",
    "comments",
)
FIELDS: dict[str, tuple[str, ...]] = {
    "incident": (*TASK, "caller_id", "severity", "incident_state", "hold_reason", "category", "resolved_at"),
    "change_request": (
        *TASK,
        "type",
        "requested_by",
        "risk",
        "phase",
        "chg_model",
        "category",
        "start_date",
        "end_date",
        "justification",
        "implementation_plan",
        "backout_plan",
        "test_plan",
    ),
    "sys_user": (
        *COMMON,
        "user_name",
        "name",
        "first_name",
        "last_name",
        "email",
        "active",
        "time_zone",
        "web_service_access_only",
        "user_password",
    ),
    "sys_choice": (*COMMON, "name", "element", "value", "label", "language", "dependent_value", "sequence", "inactive"),
    "sys_properties": (*COMMON, "name", "value", "description"),
}
REFERENCES = {
    "opened_by": "sys_user",
    "caller_id": "sys_user",
    "assigned_to": "sys_user",
    "requested_by": "sys_user",
    "assignment_group": "sys_user_group",
}
TIMES = frozenset(
    {"sys_created_on", "sys_updated_on", "opened_at", "closed_at", "resolved_at", "due_date", "start_date", "end_date"}
)
# Journal inputs are written to and read back empty.
JOURNALS = frozenset({"work_notes", "comments"})
MAX_LENGTHS = {"short_description": 160, "description": 4000, "close_notes": 4000, "correlation_id": 100}
PREFIXES = {"incident": ("INC", 10001), "change_request": ("CHG", 30001)}

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
    ("task", "impact"): (("1", "1 - High"), ("2", "2 - Medium"), ("3", "3 - Low")),
    ("task", "urgency"): (("1", "1 - High"), ("2", "2 - Medium"), ("3", "3 - Low")),
    ("change_request", "type"): (("normal", "Normal"), ("standard", "Standard"), ("emergency", "Emergency")),
    ("change_request", "close_code"): (
        ("successful", "Successful"),
        ("successful_issues", "Successful with issues"),
        ("unsuccessful", "Unsuccessful"),
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

# What a plain insert gives a record (facts 4.1, 4.2).
DEFAULTS: dict[str, Record] = {
    "incident": {
        "state": "1",
        "incident_state": "1",
        "impact": "3",
        "urgency": "3",
        "severity": "3",
        "approval": "not requested",
        "active": "true",
    },
    "change_request": {
        "state": "-5",
        "type": "normal",
        "priority": "4",
        "impact": "3",
        "urgency": "3",
        "risk": "3",
        "phase": "requested",
        "approval": "not requested",
        "active": "true",
    },
}
# Build names with a tag of the same family; any family may be chosen.
FAMILIES = ("kingston", "washingtondc", "xanadu", "yokohama", "zurich", "australia", "brazil")


@dataclass(frozen=True)
class ServiceNowSandbox:
    """How one stand-in is set up. Client and passwords are made by the caller; nothing secret stands in this code."""

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...]
    password: str
    file: Path | None = None
    family: str = "zurich"
    show_hints: bool = False
    client_name: str = "Security + Compliance Connector"


# user name, name, web-service-access-only, roles, time zone
PEOPLE = (
    ("m365.integration", "M365 Integration", "false", "itil,personalize_choices", "Europe/Berlin"),
    ("m365.robot", "M365 Robot", "true", "itil", "UTC"),
    ("fred.luddy", "Fred Luddy", "false", "itil", "America/Los_Angeles"),
    ("no.roles", "Nora Roles", "false", "", "UTC"),
    ("admin", "System Administrator", "false", "admin,itil,personalize_choices", "UTC"),
)
STRANGERS = (
    ("incident", "Email is slow in the Oslo office", "2", "2", "2"),
    ("incident", "Printer on floor 3 prints blank pages", "1", "3", "3"),
    ("change_request", "Replace the core switch in Lyon", "-2", "2", "2"),
)


def seed(store: Store, settings: ServiceNowSandbox) -> None:
    """Fill an empty instance: people, choices, properties and a few tickets that are none of ours."""
    for user_name, name, robot, roles, zone in PEOPLE:
        first, _, last = name.partition(" ")
        stamp(store, "sys_user", {
            "user_name": user_name, "name": name, "first_name": first, "last_name": last,
            "email": f"{user_name}@example.com", "active": "true", "web_service_access_only": robot,
            "time_zone": zone, "user_password": settings.password, "_roles": roles,
        })  # fmt: skip
    for (table, element), choices in CHOICES.items():
        for order, (value, label) in enumerate(choices):
            stamp(store, "sys_choice", {
                "name": table, "element": element, "value": value, "label": label, "language": "en",
                "dependent_value": "", "sequence": f"{order:03d}", "inactive": "false",
            })  # fmt: skip
    set_family(store, settings.family)
    agent = store.find("sys_user", user_name="fred.luddy")
    for table, text, state, impact, urgency in STRANGERS:
        prefix, first_number = PREFIXES[table]
        stamp(store, table, {
            **DEFAULTS[table], "number": store.next_number(table, prefix, first_number), "short_description": text,
            "state": state, "impact": impact, "urgency": urgency, "priority": "3", "sys_class_name": table,
            "opened_by": agent["sys_id"] if agent else "", "opened_at": store.now_text(),
        })  # fmt: skip


def set_family(store: Store, family: str) -> None:
    """Let the instance claim to be of this release family."""
    values = {"glide.buildname": family.capitalize(), "glide.buildtag": f"glide-{family}-02-11-2026__patch1-03-04-2026"}
    for name, value in values.items():
        found = store.find("sys_properties", name=name) or {"name": name}
        stamp(store, "sys_properties", {**found, "value": value})


def stamp(store: Store, table: str, record: Record, by: str = "system") -> Record:
    """Store with every field of the table present and the bookkeeping fields set."""
    now = store.now_text()
    full = dict.fromkeys(FIELDS.get(table, COMMON), "") | record
    full["sys_created_on"] = full["sys_created_on"] or now
    full["sys_created_by"] = full["sys_created_by"] or by
    full["sys_updated_on"] = now
    full["sys_updated_by"] = by
    full["sys_mod_count"] = str(int(full["sys_mod_count"] or -1) + 1)
    if not full["sys_id"]:
        del full["sys_id"]
    return store.put(table, full)
