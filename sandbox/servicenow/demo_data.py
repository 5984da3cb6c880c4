"""Optional records with the keys that ServiceNow's own demo data has; names are invented where no client asks for them.

Test suites that others wrote against real instances look these records up by their keys.
"""

from __future__ import annotations

from sandbox.servicenow.seeds import set_roles
from sandbox.servicenow.store import Record, Store
from sandbox.servicenow.table_schema import DEFAULTS, PREFIXES, stamp

ADMIN, ADMIN_ROLE = "6816f79cc0a8016401c5a33be04be441", "2831a114c611228501d4ea6c309d626d"
FINANCE, FINANCE_HEAD = "a581ab703710200044e0bfc8bcbe5de8", "46c5bf6ca9fe1981010713e3ac7d3384"
PROBLEM_ADMIN = "26fbff173b331300ad3cc9bb34efc4bd"
FIRST_NAMES = ("Ada", "Bo", "Cleo", "Dag", "Edda", "Finn", "Gro", "Hal", "Ines", "Jon", "Kaya")
LAST_NAMES = ("Ahlers", "Brandt", "Costa", "Dahl", "Ekman")
ADMINISTRATORS, WITH_MOBILE_PHONE = 11, 8
GROUPS = (
    "Software", "Hardware", "Help Desk", "Problem Solving", "LDAP Admins", "IT Securities", "Database", "Team Apollo",
)  # fmt: skip
GROUP_ROLES = {
    "LDAP Admins": "admin", "IT Securities": "security_admin", "Database": "database_admin", "Hardware": "asset_admin",
    "Problem Solving": "problem_manager",
}  # fmt: skip
PROBLEMS = (
    "Mail server runs out of disk space", "VPN drops every hour", "Label printers lose their queue", "Slow logins at nine",
    "Backups of the file server end late", "Phones lose their registration", "Scanner sends empty pages",
    "Payroll export is cut short", "Wireless in the canteen", "Search index is stale", "Batch jobs overlap",
    "Certificate renewals are missed", "Time drifts on the terminal servers", "Reports show last week",
)  # fmt: skip
REFERRING = (("sys_user_has_role", "user"), ("sys_user_has_role", "role"), ("sys_user_grmember", "user"))
LOG_LINES, METADATA_ROWS = 620, 520


def add_demo_data(store: Store, password: str) -> None:
    """Add the demo data once; a store that has it is left alone."""
    if store.get("sys_user", ADMIN) is not None:
        return
    with store.one_transaction():
        _take_key(store, "sys_user_role", "admin", ADMIN_ROLE)
        admin = _take_key(store, "sys_user", "admin", ADMIN)
        head = _user(store, "Natasha Ingram", password, sys_id=FINANCE_HEAD)
        stamp(store, "cmn_department", {"sys_id": FINANCE, "name": "Finance", "dept_head": head["sys_id"]})
        store.put("sys_user", admin | {"time_zone": "America/Los_Angeles", "department": FINANCE})
        _users(store, password)
        _groups(store)
        _tasks(store)
        _platform(store)


def _take_key(store: Store, table: str, name: str, sys_id: str) -> Record:
    """Give the record of this name another key, in itself and in what refers to it."""
    old = store.find(table, **{"user_name" if table == "sys_user" else "name": name}) or {"name": name}
    renamed = store.put(table, old | {"sys_id": sys_id})
    if "sys_id" in old:
        store.remove(table, old["sys_id"])
        for referring, column in REFERRING:
            for row in list(store.find_all(referring, **{column: old["sys_id"]})):
                store.put(referring, row | {column: sys_id})
    return renamed


def _user(store: Store, name: str, password: str, **more: str) -> Record:
    first, _, last = name.partition(" ")
    user_name = name.lower().replace(" ", ".")
    return stamp(store, "sys_user", {
        **DEFAULTS["sys_user"], "user_name": user_name, "name": name, "first_name": first, "last_name": last,
        "email": f"{user_name}@example.com", "time_zone": "UTC", "user_password": password, **more,
    })  # fmt: skip


def _users(store: Store, password: str) -> None:
    set_roles(store, _user(store, "Problem Admin", password, sys_id=PROBLEM_ADMIN, user_name="problem.admin"), "itil")
    set_roles(store, _user(store, "Problem Manager", password, user_name="problem.manager"), "itil")
    names = [f"{first} {last}" for last in LAST_NAMES for first in FIRST_NAMES]
    for number, name in enumerate(names):
        phone = {"mobile_phone": f"+1 555 0100 {number:02d}"} if number < WITH_MOBILE_PHONE else {}
        user = _user(store, name, password, **phone)
        if number < ADMINISTRATORS:
            set_roles(store, user, "admin")


def _groups(store: Store) -> None:
    managers = list(store.rows("sys_user"))[-len(GROUPS) :]
    for name, manager in zip(GROUPS, managers, strict=True):
        group = stamp(store, "sys_user_group", {"name": name, "active": "true", "manager": manager["sys_id"]})
        stamp(store, "sys_user_grmember", {"user": manager["sys_id"], "group": group["sys_id"]})
        if name in GROUP_ROLES:
            role = store.find("sys_user_role", name=GROUP_ROLES[name])
            role = role or stamp(store, "sys_user_role", {"name": GROUP_ROLES[name]})
            stamp(store, "sys_group_has_role", {"group": group["sys_id"], "role": role["sys_id"], "inherits": "true"})


def _tasks(store: Store) -> None:
    problems = [_task(store, "problem", text) for text in PROBLEMS]
    _task(store, "problem_task", "Find out when it began", problem=problems[0]["sys_id"])
    change = next(store.rows("change_request"), {"sys_id": ""})
    _task(store, "change_task", "Tell the people in Lyon", change_request=change["sys_id"])


def _task(store: Store, table: str, text: str, **more: str) -> Record:
    return stamp(store, table, {
        **DEFAULTS[table], "number": store.next_number(table, *PREFIXES[table]), "short_description": text,
        "sys_class_name": table, "opened_by": ADMIN, "opened_at": store.now_text(), **more,
    })  # fmt: skip


def _platform(store: Store) -> None:
    for name, label in (("alm_asset", "Asset"), ("bsm_chart", "BSM Chart")):
        stamp(store, "sys_db_object", {"name": name, "label": label})
    stamp(store, "std_change_producer_version", {
        "name": "Clear BGP sessions on a Cisco router - 1", "version": "1", "active": "true",
    })  # fmt: skip
    for number in range(LOG_LINES):
        stamp(store, "syslog", {"level": "0", "source": "Scheduler", "message": f"Job {number} ended"})
    for number in range(METADATA_ROWS):
        stamp(store, "sys_metadata", {"sys_name": f"File {number}", "sys_class_name": "sys_ui_action"})
