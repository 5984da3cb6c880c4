"""Tables of the instance: fields, references, types, lengths, defaults. Data only; checks nothing."""

from __future__ import annotations

from sandbox.servicenow import other_tables
from sandbox.servicenow.store import Record, Store

COMMON = ("sys_id", "sys_created_on", "sys_created_by", "sys_updated_on", "sys_updated_by", "sys_mod_count")
TASK = (
    *COMMON, "number", "short_description", "description", "state", "priority", "impact", "urgency", "active",
    "opened_by", "opened_at", "closed_at", "due_date", "assignment_group", "assigned_to", "correlation_id",
    "correlation_display", "approval", "close_code", "close_notes", "sys_class_name", "work_notes", "comments",
)  # fmt: skip
# Columns of a task that this sandbox keeps and no rule of it reads.
MORE_TASK = (
    "activity_due", "additional_assignee_list", "approval_history", "approval_set", "business_duration",
    "business_service", "calendar_duration", "closed_by", "cmdb_ci", "comments_and_work_notes", "company",
    "contact_type", "contract", "escalation", "expected_start", "follow_up", "group_list", "knowledge", "location",
    "made_sla", "order", "parent", "reassignment_count", "route_reason", "service_offering", "sla_due", "sys_domain",
    "sys_domain_path", "sys_tags", "task_effective_number", "time_worked", "universal_request", "upon_approval",
    "upon_reject", "user_input", "watch_list", "work_end", "work_notes_list", "work_start",
)  # fmt: skip
MORE_INCIDENT = (
    "business_impact", "business_stc", "calendar_stc", "cause", "caused_by", "child_incidents", "notify", "origin_id",
    "origin_table", "parent_incident", "problem_id", "reopen_count", "reopened_by", "reopened_time", "resolved_by", "rfc",
)  # fmt: skip
MORE_CHANGE = (
    "cab_date", "cab_date_time", "cab_delegate", "cab_recommendation", "cab_required", "change_plan",
    "conflict_last_run", "copied_from", "on_hold_reason", "on_hold_task", "outside_maintenance_schedule", "phase_state",
    "production_system", "reason", "requested_by_date", "review_comments", "review_date", "review_status",
    "risk_impact_analysis", "std_change_producer_version", "unauthorized",
)  # fmt: skip
# Not stored while empty: twenty thousand tickets would hold a hundred empty texts each.
UNSTORED = frozenset({*MORE_TASK, *MORE_INCIDENT, *MORE_CHANGE, *other_tables.MORE_USER})
INCIDENT = ("caller_id", "severity", "incident_state", "hold_reason", "category", "subcategory", "resolved_at")
CHANGE = (
    "type", "requested_by", "risk", "scope", "phase", "on_hold", "conflict_status", "chg_model", "category",
    "start_date", "end_date", "justification", "implementation_plan", "backout_plan", "test_plan",
)  # fmt: skip
FIELDS: dict[str, tuple[str, ...]] = {
    "incident": (*TASK, *INCIDENT, *MORE_TASK, *MORE_INCIDENT),
    "change_request": (*TASK, *CHANGE, *MORE_TASK, *MORE_CHANGE),
    "chg_model": (
        *COMMON, "name", "description", "active", "available_in_ui", "table_name", "state_field",
        "default_change_model",
    ),
    "sys_user": (
        *COMMON, "user_name", "name", "first_name", "last_name", "email", "active", "time_zone", "date_format",
        "time_format", "web_service_access_only", "locked_out", "password_needs_reset", "user_password",
        *other_tables.MORE_USER,
    ),
    "sys_user_group": (*COMMON, "name", "description", "active", "email", "manager", "type"),
    "sys_user_grmember": (*COMMON, "user", "group"),
    "sys_user_role": (*COMMON, "name", "description"),
    "sys_user_has_role": (*COMMON, "user", "role", "inherited", "state"),
    "sys_choice": (*COMMON, "name", "element", "value", "label", "language", "dependent_value", "sequence", "inactive"),
    "sys_properties": (*COMMON, "name", "value", "description"),
    "sys_dictionary": (
        *COMMON, "name", "element", "column_label", "internal_type", "max_length", "mandatory", "read_only", "active",
        "reference",
    ),
    "sys_attachment": (
        *COMMON, "table_name", "table_sys_id", "file_name", "content_type", "size_bytes", "size_compressed", "compressed",
        "chunk_size_bytes", "hash", "state", "image_height", "image_width", "average_image_color", "encryption_context",
        "sys_tags",
    ),
    "task": (*TASK, *MORE_TASK),
    **{name: (*TASK, *MORE_TASK, *own) for name, own in other_tables.TASKS.items()},
    **{name: (*COMMON, *own) for name, own in other_tables.OTHERS.items()},
    "sys_journal_field": (*COMMON, "name", "element", "element_id", "value"),
    "oauth_entity": (
        *COMMON, "name", "client_id", "client_secret", "type", "active", "redirect_url", "logo_url",
        "access_token_lifespan", "refresh_token_lifespan", "auth_code_lifespan",
    ),
}  # fmt: skip
TICKETS = ("change_request", "incident")
REFERENCES = {
    "opened_by": "sys_user",
    "caller_id": "sys_user",
    "assigned_to": "sys_user",
    "requested_by": "sys_user",
    "assignment_group": "sys_user_group",
    "manager": "sys_user",
    "user": "sys_user",
    "group": "sys_user_group",
    "role": "sys_user_role",
    "chg_model": "chg_model",
    "closed_by": "sys_user",
    "resolved_by": "sys_user",
    "reopened_by": "sys_user",
    "cab_delegate": "sys_user",
    "cmdb_ci": "cmdb_ci",
    "business_service": "cmdb_ci_service",
    "service_offering": "service_offering",
    "company": "core_company",
    "contract": "ast_contract",
    "location": "cmn_location",
    "parent": "task",
    "universal_request": "task",
    "on_hold_task": "task",
    "parent_incident": "incident",
    "problem_id": "problem",
    "rfc": "change_request",
    "caused_by": "change_request",
    "copied_from": "change_request",
    "std_change_producer_version": "std_change_producer_version",
    # Its value is the word `global`, no sys_id: docs/facts/servicenow.md#2-4-json-shapes
    "sys_domain": "sys_user_group",
    **other_tables.REFERENCES,
}
TIMES = frozenset(
    {
        "sys_created_on", "sys_updated_on", "opened_at", "closed_at", "resolved_at", "due_date", "start_date", "end_date",
        "activity_due", "approval_set", "expected_start", "follow_up", "sla_due", "work_end", "work_start",
        "reopened_time", "cab_date_time", "conflict_last_run", "requested_by_date", *other_tables.TIMES,
    }
)  # fmt: skip
# Compared and sorted as numbers. Every other field is text, even a sys_id of digits only.
NUMBERS = frozenset(
    {
        "state", "incident_state", "priority", "impact", "urgency", "severity", "risk", "scope", "hold_reason",
        "sys_mod_count", "sequence", "max_length", "access_token_lifespan", "refresh_token_lifespan",
        "auth_code_lifespan", "escalation", "order", "reassignment_count", "reopen_count", "child_incidents", "notify",
        "business_stc", "calendar_stc",
    }
)  # fmt: skip
FLAGS = frozenset(
    {
        "active", "on_hold", "mandatory", "read_only", "inactive", "inherited", "locked_out", "knowledge", "made_sla",
        "cab_required", "outside_maintenance_schedule", "production_system", "unauthorized", "available_in_ui",
        "default_change_model", "web_service_access_only", "password_needs_reset",
        *other_tables.FLAGS,
    }
)  # fmt: skip
# Columns whose type differs from that of their namesakes.
OTHER_TYPES = {("sys_user_has_role", "state"): "string", ("oauth_entity", "scope"): "string"}
# Journal fields read back empty; their entries are rows of sys_journal_field: docs/facts/servicenow.md#4-3-shared-task-fields
JOURNALS = {"work_notes": "Work notes", "comments": "Additional comments"}
# Read back as ciphertext, never as stored: docs/facts/servicenow.md#2-4-json-shapes and #trap-35
SECRET = frozenset({"user_password", "client_secret"})
MAX_LENGTHS = {
    "short_description": 160, "description": 4000, "close_notes": 4000, "correlation_id": 100,
    "correlation_display": 100, "work_notes": 4000, "comments": 4000, "number": 40, "sys_created_by": 40,
    "sys_updated_by": 40,
}  # fmt: skip
PREFIXES = {"incident": ("INC", 10001), "change_request": ("CHG", 30001), **other_tables.PREFIXES}

# Defaults of an insert: docs/facts/servicenow.md#4-1-incident and #4-2-change-request
EVERY_TASK = {
    "made_sla": "true", "knowledge": "false", "escalation": "0", "reassignment_count": "0", "sys_domain": "global",
    "sys_domain_path": "/", "upon_approval": "proceed", "upon_reject": "cancel",
}  # fmt: skip
DEFAULTS: dict[str, Record] = {
    "incident": {
        **EVERY_TASK, "state": "1", "incident_state": "1", "impact": "3", "urgency": "3", "severity": "3",
        "approval": "not requested", "active": "true",
    },
    "change_request": {
        **EVERY_TASK, "state": "-5", "type": "normal", "priority": "4", "impact": "3", "urgency": "3", "risk": "3", "scope": "3",
        "phase": "requested", "approval": "not requested", "conflict_status": "Not Run", "on_hold": "false",
        "active": "true",
    },
    "sys_user": {
        "active": "true", "locked_out": "false", "web_service_access_only": "false", "password_needs_reset": "false",
    },
    "sys_user_group": {"active": "true"},
    "sys_user_has_role": {"inherited": "false", "state": "active"},
    "sys_choice": {"language": "en", "inactive": "false"},
    **{table: {**EVERY_TASK, **own} if table in other_tables.TASKS else own for table, own in other_tables.DEFAULTS.items()},
    "chg_model": {"active": "true", "available_in_ui": "true", "table_name": "change_request", "state_field": "state"},
}  # fmt: skip
# Release families, oldest first. Not alphabetical, since names restarted at A: docs/facts/servicenow.md#trap-32
FAMILIES = (
    "kingston", "london", "madrid", "newyork", "orlando", "paris", "quebec", "rome", "sandiego", "tokyo", "utah",
    "vancouver", "washingtondc", "xanadu", "yokohama", "zurich", "australia", "brazil",
)  # fmt: skip


def fields_of(store: Store, table: str) -> tuple[str, ...]:
    """Return the table's fields, including custom columns added to this instance."""
    own = [row["name"] for row in store.rows("_column") if row["table"] == table]
    return (*FIELDS.get(table, COMMON), *own) if own else FIELDS.get(table, COMMON)


def type_of(name: str, table: str = "") -> str:
    """Return a field's internal type as sys_dictionary names it."""
    if (table, name) in OTHER_TYPES:
        return OTHER_TYPES[table, name]
    if name in TIMES:
        return "glide_date_time"
    if name in REFERENCES:
        return "reference"
    if name in JOURNALS:
        return "journal_input"
    if name in NUMBERS:
        return "integer"
    if name in FLAGS:
        return "boolean"
    if name in SECRET:
        return "password2"
    return "GUID" if name in ("sys_id", "element_id") else "string"


def stamp(store: Store, table: str, record: Record, by: str = "system") -> Record:
    """Store a record with every field present and the sys_* fields updated."""
    now = store.now_text()
    full = dict.fromkeys((name for name in fields_of(store, table) if name not in UNSTORED), "") | record
    full["sys_created_on"] = full["sys_created_on"] or now
    full["sys_created_by"] = full["sys_created_by"] or by
    full["sys_updated_on"] = now
    full["sys_updated_by"] = by
    full["sys_mod_count"] = str(int(full["sys_mod_count"] or -1) + 1)
    if not full["sys_id"]:
        del full["sys_id"]
    return store.put(table, full)
