"""Access rules of records: roles, contained roles, table and row ACLs. Evaluates, but answers no request."""

from __future__ import annotations

from sandbox.servicenow import other_tables
from sandbox.servicenow.instance import INTEGRATION_USER, SandboxInstance
from sandbox.servicenow.store import Record

# See docs/facts/servicenow.md#3-6-roles-for-the-integration-user: `itil` contains the granular roles.
CONTAINED_ROLES: dict[str, tuple[str, ...]] = {
    "admin": (
        "itil", "itil_admin", "change_manager", "personalize_choices", "oauth_admin", "mi_admin", "snc_platform_rest_api_access",
    ),
    "itil": ("sn_incident_write", "sn_change_write", "snc_platform_rest_api_access"),
    "change_manager": ("sn_change_write",),
    "sn_incident_write": ("sn_incident_read",),
    "sn_change_write": ("sn_change_read",),
}  # fmt: skip
READ_ROLES = {"incident": "sn_incident_read", "change_request": "sn_change_read", **other_tables.READ_ROLES}
WRITE_ROLES = {"incident": "sn_incident_write", "change_request": "sn_change_write", **other_tables.WRITE_ROLES}
# Stricter than writing: docs/facts/servicenow.md#3-6-roles-for-the-integration-user
DELETE_ROLES = {"incident": "itil_admin", "change_request": "change_manager"}
OAUTH_ROLES = {"admin", "oauth_admin", "mi_admin"}


def roles_of(instance: SandboxInstance, user: Record) -> frozenset[str]:
    """Return the user's roles, including contained ones."""
    found: set[str] = set()
    waiting = [name for name in user.get("_roles", "").split(",") if name]
    if instance.switches.user_read_only and user["user_name"] == INTEGRATION_USER:
        waiting.append("snc_read_only")
    while waiting:
        role = waiting.pop()
        if role not in found:
            found.add(role)
            waiting.extend(CONTAINED_ROLES.get(role, ()))
    return frozenset(found)


def may_write(instance: SandboxInstance, user: Record, table: str, action: str) -> bool:
    """Return whether the user may `create`, `write` or `delete` in this table."""
    roles = roles_of(instance, user)
    if "snc_read_only" in roles:
        return False
    # Administrators pass the rules of every table: docs/facts/servicenow.md#3-6-roles-for-the-integration-user
    if "admin" in roles:
        return True
    if f"{table}.{action}" in instance.switches.listed("acl_refuses"):
        return False
    if action == "delete" and not instance.switches.itil_may_delete:
        return table in DELETE_ROLES and DELETE_ROLES[table] in roles
    return table in WRITE_ROLES and WRITE_ROLES[table] in roles


class RowAcl:
    """A user's read right on one table's rows; the part common to all rows is computed once."""

    def __init__(self, instance: SandboxInstance, user: Record, table: str) -> None:
        self._user_id = user["sys_id"]
        self._table = table
        self._roles = roles_of(instance, user)
        self._sees_all = self._may_see_all(instance)
        # A row of a parent table is ruled by its own: docs/facts/servicenow.md#4-3-shared-task-fields
        self._children = {child: RowAcl(instance, user, child) for child in other_tables.CHILDREN.get(table, ())}

    def may_read(self, row: Record) -> bool:
        # See docs/facts/servicenow.md#sandbox-24 and #sandbox-50: an unreadable row is left out without an error.
        if row.get("_hidden") == "true":
            return False
        child = self._children.get(row.get("sys_class_name", ""))
        if child is not None:
            return child.may_read(row)
        if self._sees_all:
            return True
        # Without a role, a user reads incidents that it opened or is the caller of, and no changes.
        own = self._table == "incident" and self._user_id in (row.get("opened_by"), row.get("caller_id"))
        return own and self._sees_own

    def _may_see_all(self, instance: SandboxInstance) -> bool:
        switches, roles = instance.switches, self._roles
        self._sees_own = True
        if "admin" in roles:
            return True
        self._sees_own = f"{self._table}.read" not in switches.listed("acl_refuses")
        if not self._sees_own:
            return False
        if self._table in READ_ROLES:
            return READ_ROLES[self._table] in roles
        rules = {
            "sys_choice": not switches.choices_need_role or bool(roles & {"personalize_choices", "admin"}),
            "sys_properties": not switches.properties_missing or "admin" in roles,
            "sys_journal_field": "itil" in roles or bool(roles & set(READ_ROLES.values())),
            "sys_user_has_role": switches.roles_readable or "admin" in roles,
            "chg_model": "sn_change_read" in roles,
            "oauth_entity": switches.oauth_entity_readable or bool(roles & OAUTH_ROLES),
        }
        return rules.get(self._table, True)


def table_is_closed(instance: SandboxInstance, user: Record, table: str) -> str:
    """Return why the whole table answers 403, or "" when it does not."""
    # See docs/facts/servicenow.md#sandbox-37 and #9-microsoft-s-own-connector-what-we-mirror (cross-scope text)
    switches = instance.switches
    if "admin" in roles_of(instance, user):
        return ""
    if table == "oauth_entity" and switches.cross_scope_refusal:
        return (
            "Read operation against 'oauth_entity' from scope 'x_mioms_m365ticket' has been refused due to the table's "
            "cross-scope access policy"
        )
    closed = (table == "sys_properties" and not switches.properties_readable) or (
        table == "sys_dictionary" and not switches.dictionary_readable
    )
    return "ACL restricts the record retrieval" if closed else ""
