"""Tables beside tickets, users and settings: what other people's clients read. Data only.

`task` is the parent of all tasks: docs/facts/servicenow.md#4-3-shared-task-fields
"""

from __future__ import annotations

# A parent's rows are those of its children.
CHILDREN: dict[str, tuple[str, ...]] = {
    "task": ("incident", "change_request", "problem", "change_task", "problem_task"),
    "cmdb_ci": ("cmdb_ci_service",),
}
# Own columns of the tasks that are no ticket of the connector's.
TASKS: dict[str, tuple[str, ...]] = {
    "problem": (
        "problem_state", "first_reported_by_task", "known_error", "major_problem", "cause_notes", "fix_notes",
        "workaround", "resolution_code", "related_incidents", "category", "subcategory", "rfc",
    ),
    "change_task": ("change_request", "change_task_type", "planned_start_date", "planned_end_date", "on_hold"),
    "problem_task": ("problem", "problem_task_type", "cause_notes", "fix_notes", "workaround"),
}  # fmt: skip
OTHERS: dict[str, tuple[str, ...]] = {
    "cmdb_ci": ("name", "sys_class_name", "category", "short_description", "operational_status", "assigned_to", "company"),
    "cmdb_ci_service": (
        "name", "sys_class_name", "category", "short_description", "operational_status", "assigned_to", "company",
    ),
    "service_offering": ("name", "short_description"),
    "core_company": ("name", "city", "country"),
    "ast_contract": ("number", "short_description"),
    "cmn_location": ("name", "city", "country"),
    "cmn_department": ("name", "description", "dept_head", "id"),
    "std_change_producer_version": ("name", "version", "active", "short_description"),
    "sys_db_object": ("name", "label", "super_class", "sys_scope", "is_extendable"),
    "sys_group_has_role": ("group", "role", "inherits"),
    "sys_metadata": ("sys_name", "sys_class_name", "sys_scope"),
    "sys_script": (
        "name", "collection", "active", "when", "order", "action_insert", "action_update", "abort_action", "add_message",
        "message", "filter_condition", "script",
    ),
    "syslog": ("level", "message", "source"),
}  # fmt: skip
MORE_USER = (
    "department", "mobile_phone", "phone", "title", "company", "location", "manager", "roles", "employee_number",
    "vip", "middle_name", "internal_integration_user", "sys_domain",
)  # fmt: skip
REFERENCES = {
    "first_reported_by_task": "task",
    "change_request": "change_request",
    "problem": "problem",
    "department": "cmn_department",
    "dept_head": "sys_user",
    "super_class": "sys_db_object",
}
TIMES = frozenset({"planned_start_date", "planned_end_date"})
FLAGS = frozenset(
    {
        "known_error", "major_problem", "is_extendable", "action_insert", "action_update", "abort_action", "add_message",
        "vip", "internal_integration_user", "inherits",
    }
)  # fmt: skip
PREFIXES = {"problem": ("PRB", 40001), "change_task": ("CTASK", 10001), "problem_task": ("PTASK", 10001)}
READ_ROLES = {"problem": "itil", "change_task": "sn_change_read", "problem_task": "itil"}
WRITE_ROLES = {"problem": "itil", "change_task": "sn_change_write", "problem_task": "itil"}
DEFAULTS = {
    "problem": {
        "state": "101", "problem_state": "101", "impact": "3", "urgency": "3", "priority": "5", "active": "true",
        "approval": "not requested", "known_error": "false", "major_problem": "false",
    },
    "change_task": {"state": "-5", "impact": "3", "urgency": "3", "priority": "4", "active": "true"},
    "problem_task": {"state": "151", "impact": "3", "urgency": "3", "priority": "4", "active": "true"},
    "sys_script": {"active": "true", "when": "before", "order": "100"},
}  # fmt: skip
# (table, column): (value, label): https://www.servicenow.com/docs/csh?topicname=problem-state-model.html
CHOICES = {
    ("problem", "state"): (
        ("101", "New"), ("102", "Assess"), ("103", "Root Cause Analysis"), ("104", "Fix in Progress"),
        ("106", "Resolved"), ("107", "Closed"),
    ),
    ("problem_task", "state"): (("151", "New"), ("152", "Assess"), ("154", "Work in Progress"), ("157", "Closed")),
    ("change_task", "state"): (
        ("-5", "Pending"), ("1", "Open"), ("2", "In Progress"), ("3", "Closed"), ("4", "Canceled"),
    ),
}  # fmt: skip
