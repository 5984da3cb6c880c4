"""Initial records of a new instance: users, roles, groups, choices, dictionary, properties and sample tickets."""

from __future__ import annotations

from sandbox.servicenow import change_models, other_tables
from sandbox.servicenow.choice_lists import CHOICES, GERMAN, RETIRED
from sandbox.servicenow.instance_settings import ServiceNowSandbox
from sandbox.servicenow.store import Record, Store
from sandbox.servicenow.table_schema import (
    DEFAULTS,
    FIELDS,
    MAX_LENGTHS,
    MORE_TASK,
    PREFIXES,
    REFERENCES,
    TASK,
    stamp,
    type_of,
)

# (user name, name, web-service-access-only, roles, time zone)
USERS = (
    ("m365.integration", "M365 Integration", "false", "itil,personalize_choices", "Europe/Berlin"),
    # Web service access only: cannot log in, hence cannot consent (docs/facts/servicenow.md#trap-22).
    ("m365.robot", "M365 Robot", "true", "itil", "UTC"),
    # An agent in another time zone, without personalize_choices (docs/facts/servicenow.md#trap-36).
    ("fred.luddy", "Fred Luddy", "false", "itil", "America/Los_Angeles"),
    ("no.roles", "Nora Roles", "false", "", "UTC"),
    ("alex.wilber", "Alex Wilber", "false", "itil", "Europe/Berlin"),
    ("admin", "System Administrator", "false", "admin,itil,personalize_choices", "UTC"),
)
ROLES = {
    "admin": "Everything",
    "itil": "Works on incidents and changes",
    "personalize_choices": "Reads and writes choice lists",
    "sn_incident_read": "Reads incidents",
    "sn_incident_write": "Reads and writes incidents",
    "sn_change_read": "Reads changes",
    "sn_change_write": "Reads and writes changes",
    "change_manager": "Manages changes",
    "itil_admin": "Deletes and closes tickets",
    "snc_platform_rest_api_access": "May call the platform's REST APIs where their ACLs are active",
    "oauth_admin": "Manages OAuth clients and tokens",
    "mi_admin": "Manages machine identities",
    "snc_read_only": "Writes nothing, wherever it is",
    "snc_internal": "Belongs to the company",
}
GROUPS = (
    ("Service Desk", "First line", "itil"),
    ("Security Operations", "Works on what the security center finds", "itil"),
    ("Network", "Switches, firewalls and lines", "itil"),
    ("CAB Approval", "Approves changes", ""),
)
# Those of a new instance, and one as a site defines its own. The keys are those that every instance has.
MODELS: dict[str, tuple[str, str, change_models.Walk | None]] = {
    "Normal": ("007c4001c343101035ae3f52c1d3aeb2", "Passes through assessment and authorization", None),
    "Standard": ("e55d0bfec343101035ae3f52c1d3ae49", "Authorized in advance", None),
    "Emergency": ("", "Authorized without assessment", None),
    "Change registration": ("", "Registers a change that needs no approval", change_models.REGISTRATION),
}
# The administrator who connects the instance also has a personal account there: consenting with it is the mistake of
# See docs/facts/servicenow.md#trap-23.
EMAILS = {"alex.wilber": "alex@contoso.example"}
# Tables whose columns have rows in sys_dictionary; inherited columns are those of `task`.
DESCRIBED = ("task", "incident", "change_request", *other_tables.TASKS)
SAMPLE_TICKETS = (
    ("incident", "Email is slow in the Oslo office", "2", "2", "2"),
    ("incident", "Printer on floor 3 prints blank pages", "1", "3", "3"),
    ("change_request", "Replace the core switch in Lyon", "-2", "2", "2"),
)


def seed(store: Store, settings: ServiceNowSandbox) -> None:
    with store.one_transaction():
        for name, about in ROLES.items():
            stamp(store, "sys_user_role", {"name": name, "description": about})
        for user_name, name, robot, roles, zone in USERS:
            first, _, last = name.partition(" ")
            user = stamp(store, "sys_user", {
                "user_name": user_name, "name": name, "first_name": first, "last_name": last,
                "email": EMAILS.get(user_name, f"{user_name}@example.com"), "active": "true", "web_service_access_only": robot,
                "time_zone": zone, "user_password": settings.password, "locked_out": "false",
                "password_needs_reset": "false",
            })  # fmt: skip
            set_roles(store, user, roles)
        _groups(store)
        complete(store)
        for (table, element), choices in GERMAN.items():
            add_choices(store, table, element, choices, "de")
        set_family(store, settings.family)
        _tickets(store)


def complete(store: Store) -> None:
    """Add the choice lists and change models that a store written by an earlier version lacks."""
    listed = {(row["name"], row["element"]) for row in store.rows("sys_choice")}
    for (table, element), choices in CHOICES.items():
        if (table, element) not in listed:
            add_choices(store, table, element, choices, "en")
    for (table, element), choices in other_tables.CHOICES.items():
        if (table, element) not in listed:
            add_choices(store, table, element, choices, "en")
    _describe_tables(store)
    if not store.find("chg_model"):
        for name, (sys_id, about, walk) in MODELS.items():
            stamp(store, "chg_model", change_models.model_row(name, about, walk) | {"sys_id": sys_id})


def _describe_tables(store: Store) -> None:
    """Add the rows of sys_db_object, and those of sys_dictionary for every column that the instance has."""
    tables = {row["name"] for row in store.rows("sys_db_object")}
    columns = {(row["name"], row["element"]) for row in store.rows("sys_dictionary")}
    inherited = frozenset((*TASK, *MORE_TASK))
    for table in FIELDS:
        if table not in tables:
            stamp(store, "sys_db_object", {"name": table, "label": table.replace("_", " ").capitalize()})
        for name in FIELDS[table] if table in DESCRIBED else ():
            if (table, name) not in columns and (table == "task" or name not in inherited):
                add_dictionary_row(store, table, name)


def set_roles(store: Store, user: Record, roles: str) -> Record:
    """Replace the user's roles, in the user's record and in sys_user_has_role."""
    for old in list(store.find_all("sys_user_has_role", user=user["sys_id"])):
        store.remove("sys_user_has_role", old["sys_id"])
    names = [name.strip() for name in roles.split(",") if name.strip()]
    for name in names:
        role = store.find("sys_user_role", name=name) or stamp(store, "sys_user_role", {"name": name})
        granted = {"user": user["sys_id"], "role": role["sys_id"], "inherited": "false", "state": "active"}
        stamp(store, "sys_user_has_role", granted)
    return store.put("sys_user", user | {"_roles": ",".join(names)})


def after_admin_write(store: Store, table: str, record: Record) -> None:
    """Bring the user's record up to date after a row of sys_user_has_role was written or deleted."""
    user = store.get("sys_user", record.get("user", "")) if table == "sys_user_has_role" else None
    if user is not None:
        granted = store.find_all("sys_user_has_role", user=user["sys_id"])
        roles = [store.get("sys_user_role", row["role"]) for row in granted]
        store.put("sys_user", user | {"_roles": ",".join(role["name"] for role in roles if role)})


def keep_retired_choices(store: Store, *, wanted: bool) -> None:
    """Add the retired rows of values that are in use, or remove them."""
    present = list(store.find_all("sys_choice", _retired="true"))
    if wanted and not present:
        for table, element, value, label in RETIRED:
            stamp(store, "sys_choice", {
                "name": table, "element": element, "value": value, "label": label, "language": "en",
                "sequence": "000", "inactive": "true", "_retired": "true",
            })  # fmt: skip
    elif not wanted:
        for row in present:
            store.remove("sys_choice", row["sys_id"])


def set_family(store: Store, family: str) -> None:
    """Set the release family that sys_properties reports."""
    # See docs/facts/servicenow.md#7-which-release-is-the-instance-on
    values = {"glide.buildname": family.capitalize(), "glide.buildtag": f"glide-{family}-02-11-2026__patch1-03-04-2026"}
    for name, value in values.items():
        found = store.find("sys_properties", name=name) or {"name": name}
        stamp(store, "sys_properties", {**found, "value": value})


def add_choices(
    store: Store, table: str, element: str, choices: tuple[tuple[str, str], ...], language: str, start: int = 0
) -> list[Record]:
    """Add rows of sys_choice, sequenced in this order."""
    return [
        stamp(store, "sys_choice", {
            "name": table, "element": element, "value": value, "label": label, "language": language,
            "dependent_value": "", "sequence": f"{order:03d}", "inactive": "false",
        })
        for order, (value, label) in enumerate(choices, start)
    ]  # fmt: skip


def add_column(store: Store, table: str, name: str, label: str, kind: str = "string", length: int = 40) -> None:
    """Add a custom column, such as `u_recommendation_category`, as an administrator would."""
    if store.find("_column", name=name, table=table) is None:
        store.put("_column", {"table": table, "name": name})
    add_dictionary_row(store, table, name, label=label, kind=kind, length=length)


def add_dictionary_row(
    store: Store, table: str, name: str, *, label: str = "", kind: str = "", length: int = 0
) -> None:
    """Add or update a row of sys_dictionary."""
    found = next(store.find_all("sys_dictionary", name=table, element=name), {})
    stamp(store, "sys_dictionary", found | {
        "name": table, "element": name, "column_label": label or name.replace("_", " ").capitalize(),
        "internal_type": kind or type_of(name), "max_length": str(length or MAX_LENGTHS.get(name, 40)),
        "mandatory": "false", "read_only": "false", "active": "true", "reference": REFERENCES.get(name, ""),
    })  # fmt: skip


def _groups(store: Store) -> None:
    manager = store.find("sys_user", user_name="fred.luddy") or {"sys_id": ""}
    for name, about, kind in GROUPS:
        group = stamp(store, "sys_user_group", {
            "name": name, "description": about, "active": "true", "manager": manager["sys_id"], "type": kind,
            "email": f"{name.lower().replace(' ', '.')}@example.com",
        })  # fmt: skip
        stamp(store, "sys_user_grmember", {"user": manager["sys_id"], "group": group["sys_id"]})


def _tickets(store: Store) -> None:
    agent = store.find("sys_user", user_name="fred.luddy")
    for table, text, state, impact, urgency in SAMPLE_TICKETS:
        prefix, first_number = PREFIXES[table]
        stamp(store, table, {
            **DEFAULTS[table], "number": store.next_number(table, prefix, first_number), "short_description": text,
            "state": state, "impact": impact, "urgency": urgency, "priority": "3", "sys_class_name": table,
            "opened_by": agent["sys_id"] if agent else "", "opened_at": store.now_text(),
        })  # fmt: skip
