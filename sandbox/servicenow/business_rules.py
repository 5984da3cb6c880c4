"""Business rules of a write: defaults, priority lookup, data policies, state transitions, journal entries. Checks no ACL."""

from __future__ import annotations

from sandbox.servicenow.store import TIME_FORMAT, Record, Store, new_sys_id
from sandbox.servicenow.switches import Switches
from sandbox.servicenow.table_schema import DEFAULTS, JOURNALS, MAX_LENGTHS, PREFIXES, fields_of, stamp

# Priority data lookup on (impact, urgency): docs/facts/servicenow.md#4-1-incident
PRIORITY = {
    ("1", "1"): "1", ("1", "2"): "2", ("1", "3"): "3",
    ("2", "1"): "2", ("2", "2"): "3", ("2", "3"): "4",
    ("3", "1"): "3", ("3", "2"): "4", ("3", "3"): "5",
}  # fmt: skip
# See docs/facts/servicenow.md#4-2-change-request: a normal change passes all states, a standard one skips Assess and
# Authorize, an emergency one skips Assess. Review and Closed cannot be canceled.
NEXT_STATES = {
    "normal": {
        "-5": ("-4", "4"), "-4": ("-3", "-5", "4"), "-3": ("-2", "-4", "4"), "-2": ("-1", "4"),
        "-1": ("0", "4"), "0": ("3", "-1"), "3": (), "4": (),
    },
    "standard": {"-5": ("-2", "4"), "-2": ("-1", "4"), "-1": ("0", "4"), "0": ("3", "-1"), "3": (), "4": ()},
    "emergency": {
        "-5": ("-3", "4"), "-3": ("-2", "4"), "-2": ("-1", "4"), "-1": ("0", "4"), "0": ("3", "-1"), "3": (), "4": (),
    },
}  # fmt: skip
# States that need a resolution, and the labels that the refusal names: docs/facts/servicenow.md#sandbox-32
CLOSING = {"incident": ("6", "7"), "change_request": ("3",)}
CLOSE_LABELS = {
    "incident": (("close_notes", "Resolution notes"), ("close_code", "Resolution code")),
    "change_request": (("close_notes", "Close notes"), ("close_code", "Close code")),
}


class WriteRefused(Exception):
    """A business rule or data policy aborts the write; answered 403 with this text as `detail`."""


def insert(store: Store, switches: Switches, table: str, sent: Record, user: Record) -> Record:
    """Insert a record as the Table API does. Raises WriteRefused."""
    # See docs/facts/servicenow.md#sandbox-30 (incident priority), #sandbox-31 (change defaults), #sandbox-34 (number, opened_by)
    record = dict(DEFAULTS.get(table, {})) | _known(store, table, sent, switches)
    now = store.now_text()
    record |= {"sys_class_name": table, "opened_by": user["sys_id"], "opened_at": now, "sys_id": new_sys_id()}
    if table == "change_request" and not record.get("requested_by"):
        record["requested_by"] = user["sys_id"]
    _look_up_priority(table, record, sent, switches)
    _require_close_fields(table, record, switches)
    _require_on_create(record, switches)
    record["number"] = store.next_number(table, *PREFIXES[table])
    stored = stamp(store, table, record, by=user["user_name"])
    _keep_journals(store, table, stored["sys_id"], sent, user)
    return stored


def update(
    store: Store, switches: Switches, table: str, record: Record, sent: Record, user: Record, *, silent: bool = False
) -> Record:
    """Update the given fields. `silent` does what scripts can: no rules run and `sys_updated_on` stays. Raises WriteRefused."""
    # See docs/facts/servicenow.md#sandbox-34
    changed = dict(record) | _known(store, table, sent, switches)
    if silent:
        return store.put(table, changed)
    # Some sites drop a state written through the API without an error: docs/facts/servicenow.md#sandbox-33
    if switches.ignore_state_writes:
        changed["state"] = record["state"]
    if table == "change_request":
        _check_transition(record, changed, switches)
    if table == "incident" and "state" in sent:
        changed["incident_state"] = changed["state"]
    _look_up_priority(table, changed, sent, switches)
    _require_close_fields(table, changed, switches)
    _open_or_closed(store, table, record, changed)
    stored = stamp(store, table, changed, by=user["user_name"])
    _keep_journals(store, table, stored["sys_id"], sent, user)
    return stored


def next_states(record: Record) -> tuple[str, ...]:
    """Return the states that a change may move to from its current one."""
    return NEXT_STATES.get(record.get("type", "normal"), NEXT_STATES["normal"]).get(record["state"], ())


def _known(store: Store, table: str, sent: Record, switches: Switches) -> Record:
    # Unknown fields are dropped silently: docs/facts/servicenow.md#sandbox-20. Journal inputs are stored elsewhere.
    fields = fields_of(store, table)
    kept = {}
    for name, value in sent.items():
        if name not in fields or name in JOURNALS or name.startswith("sys_"):
            continue
        # Overlong text is cut at the column's length or stored whole: docs/facts/servicenow.md#sandbox-35
        kept[name] = _cut(name, value, switches)
    return kept


def _cut(name: str, value: str, switches: Switches) -> str:
    limit = MAX_LENGTHS.get(name)
    return value[:limit] if limit and switches.truncate_long_text else value


def _keep_journals(store: Store, table: str, sys_id: str, sent: Record, user: Record) -> None:
    # Every write of a journal field adds an entry and replaces none: docs/facts/servicenow.md#4-3-shared-task-fields
    for name in JOURNALS:
        if sent.get(name):
            entry = {"name": table, "element": name, "element_id": sys_id, "value": sent[name]}
            stamp(store, "sys_journal_field", entry, by=user["user_name"])


def _look_up_priority(table: str, record: Record, sent: Record, switches: Switches) -> None:
    if table == "incident":
        record["priority"] = PRIORITY.get((record.get("impact", ""), record.get("urgency", "")), "5")
    elif "priority" in sent and not switches.keep_change_priority:
        record["priority"] = DEFAULTS["change_request"]["priority"]


def _require_close_fields(table: str, record: Record, switches: Switches) -> None:
    required = switches.close_fields_required if table == "incident" else switches.change_close_fields_required
    if record.get("state") not in CLOSING[table] or not required:
        return
    missing = [label for name, label in CLOSE_LABELS[table] if not record.get(name)]
    if missing:
        raise WriteRefused(f"Data Policy Exception: The following fields are mandatory: {', '.join(missing)}")


def _require_on_create(record: Record, switches: Switches) -> None:
    missing = [name for name in switches.listed("mandatory_on_create") if not record.get(name)]
    if missing:
        labels = ", ".join(name.replace("_", " ").capitalize() for name in missing)
        raise WriteRefused(f"Data Policy Exception: The following fields are mandatory: {labels}")


def _check_transition(before: Record, after: Record, switches: Switches) -> None:
    if not switches.check_transitions or after["state"] == before["state"]:
        return
    if after["state"] not in next_states(before):
        rule = "Change Model: Check State Transition"
        raise WriteRefused(
            "Operation against file 'change_request' was aborted by Business Rule "
            f"'{rule}^{before['sys_id']}'. Business Rule Stack:{rule}"
        )


def _open_or_closed(store: Store, table: str, before: Record, after: Record) -> None:
    done = {"incident": ("7", "8"), "change_request": ("3", "4")}[table]
    after["active"] = "false" if after["state"] in done else "true"
    if after["active"] == "false" and not before.get("closed_at"):
        after["closed_at"] = store.now().strftime(TIME_FORMAT)
