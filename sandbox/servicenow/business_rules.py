"""Business rules of a write: defaults, priority lookup, data policies, state transitions, journal entries. Checks no ACL."""

from __future__ import annotations

import re

from sandbox.servicenow import change_models, field_types, other_tables, scripted_rules
from sandbox.servicenow.store import Record, Store, new_sys_id
from sandbox.servicenow.switches import Switches
from sandbox.servicenow.table_schema import DEFAULTS, JOURNALS, PREFIXES, TICKETS, fields_of, stamp

# Priority data lookup on (impact, urgency): docs/facts/servicenow.md#4-1-incident
PRIORITY = {
    ("1", "1"): "1", ("1", "2"): "2", ("1", "3"): "3",
    ("2", "1"): "2", ("2", "2"): "3", ("2", "3"): "4",
    ("3", "1"): "3", ("3", "2"): "4", ("3", "3"): "5",
}  # fmt: skip
# States that need a resolution, and the labels that the refusal names: docs/facts/servicenow.md#sandbox-32
CLOSING = {"incident": ("6", "7"), "change_request": ("3",)}
CLOSE_LABELS = {
    "incident": (("close_notes", "Resolution notes"), ("close_code", "Resolution code")),
    "change_request": (("close_notes", "Close notes"), ("close_code", "Close code")),
}
# Tables whose records have a journal.
JOURNALED = (*TICKETS, *other_tables.TASKS)
# The rule that `failing_rule` breaks.
BROKEN_RULE = "Set the watch list of a new ticket"

# A chosen key may have capitals: docs/facts/servicenow.md#6-idempotency
CHOSEN_SYS_ID = re.compile(r"[0-9a-fA-F]{32}")


class WriteRefused(Exception):
    """A business rule or data policy aborts the write; answered 403 with this text as `detail`."""


class RuleFailed(Exception):
    """A business rule ends in an error of its script; answered 500."""


def insert(store: Store, switches: Switches, table: str, sent: Record, user: Record) -> Record:
    """Insert a record as the Table API does. Raises WriteRefused and RuleFailed."""
    # See docs/facts/servicenow.md#sandbox-30 (incident priority), #sandbox-31 (change defaults), #sandbox-34 (number, opened_by)
    kept = kept_values(store, switches, table, sent)
    sys_id = _free_sys_id(store, switches, table, sent.get("sys_id", ""))
    record = dict(DEFAULTS.get(table, {})) | {name: value for name, value in kept.items() if value} | {"sys_id": sys_id}
    if table in TICKETS:
        _begin_ticket(store, switches, table, record, kept, user)
    elif table in other_tables.TASKS:
        record |= {"sys_class_name": table, "opened_by": user["sys_id"], "opened_at": store.now_text()}
    elif table == "sys_user" and not record.get("name"):
        record["name"] = f"{record.get('first_name', '')} {record.get('last_name', '')}".strip()
    _run_abort_rules(store, table, record, user, is_new=True)
    if table in switches.listed("failing_rule"):
        raise RuleFailed(BROKEN_RULE)
    if table in PREFIXES:
        record["number"] = record["task_effective_number"] = store.next_number(table, *PREFIXES[table])
    stored = stamp(store, table, record, by=user["user_name"])
    if table in JOURNALED:
        _keep_journals(store, table, stored["sys_id"], sent, user)
    return stored


def update(
    store: Store, switches: Switches, table: str, record: Record, sent: Record, user: Record, *, silent: bool = False
) -> Record:
    """Update the given fields. `silent` does what scripts can: no rules run and `sys_updated_on` stays. Raises WriteRefused."""
    # See docs/facts/servicenow.md#sandbox-34
    kept = kept_values(store, switches, table, sent)
    if table == change_models.TABLE and not silent:
        kept = _with_type_and_model(store, switches, record, kept)
    changed = dict(record) | kept
    if silent:
        return store.put(table, changed)
    if table in TICKETS:
        _move_ticket(store, switches, table, record, changed, kept, user)
    # See docs/facts/servicenow.md#6-idempotency
    _run_abort_rules(store, table, changed, user, is_new=False)
    notes = table in JOURNALED and any(sent.get(name) for name in JOURNALS)
    if changed == record and not notes and not switches.unchanged_update_moves:
        return record
    stored = stamp(store, table, changed, by=user["user_name"])
    if notes:
        _keep_journals(store, table, stored["sys_id"], sent, user)
    return stored


def _run_abort_rules(store: Store, table: str, record: Record, user: Record, *, is_new: bool) -> None:
    message = scripted_rules.refusal(store, table, record, user, is_new=is_new)
    if message:
        raise WriteRefused(message)


def kept_values(store: Store, switches: Switches, table: str, sent: Record) -> Record:
    """Return what the table's columns keep of the values sent. Raises WriteRefused where `invalid_values` says so."""
    # Unknown fields are dropped silently: docs/facts/servicenow.md#sandbox-20. Journal inputs are stored elsewhere.
    fields = fields_of(store, table)
    kept = {}
    for name, value in sent.items():
        if name not in fields or name in JOURNALS or name.startswith("sys_"):
            continue
        if not value and not field_types.can_be_empty(store, table, name):
            continue
        stored = field_types.stored_form(store, switches, table, name, value)
        if stored is not None:
            kept[name] = stored
        elif switches.invalid_values == "refused":
            raise WriteRefused(f"Invalid value for the field {name}: {value[:100]}")
    return kept


def _free_sys_id(store: Store, switches: Switches, table: str, chosen: str) -> str:
    """Return the new record's key: the caller's own where the instance keeps it. Raises WriteRefused."""
    # See docs/facts/servicenow.md#6-idempotency
    if not CHOSEN_SYS_ID.fullmatch(chosen) or switches.chosen_sys_id == "ignored":
        return new_sys_id()
    if switches.chosen_sys_id == "refused":
        raise WriteRefused("ACL Exception Insert Failed due to security constraints")
    if store.get(table, chosen) is None or switches.duplicate_sys_id == "overwritten":
        return chosen
    if switches.duplicate_sys_id == "new_record":
        return new_sys_id()
    raise WriteRefused(f"Unique Key violation detected by database (Duplicate entry '{chosen}' for key 'PRIMARY')")


def _begin_ticket(store: Store, switches: Switches, table: str, record: Record, kept: Record, user: Record) -> None:
    now = store.now_text()
    record |= {"sys_class_name": table, "opened_by": user["sys_id"], "opened_at": now}
    if table == change_models.TABLE:
        record["requested_by"] = record.get("requested_by") or user["sys_id"]
        record |= change_models.begin(store, switches, kept)
        record["state"] = kept.get("state") or change_models.initial_state(store, record)
        if switches.check_transitions and change_models.is_fixed(store, record):
            raise _illegal_state(record)
    else:
        record["incident_state"] = record["state"]
    _look_up_priority(table, record, kept, switches)
    _require_close_fields(table, record, switches)
    _require_on_create(record, switches)


def _with_type_and_model(store: Store, switches: Switches, record: Record, kept: Record) -> Record:
    """Return the update with type and model made to agree, or without them once they are fixed. Raises WriteRefused."""
    # See docs/facts/servicenow.md#4-2-change-request: the type is fixed once the change has left New.
    wanted: Record = {
        name: kept[name] for name in ("type", "chg_model") if name in kept and kept[name] != record.get(name)
    }
    rest = {name: value for name, value in kept.items() if name not in ("type", "chg_model")}
    if not wanted:
        return rest
    if not change_models.is_fixed(store, record):
        return rest | change_models.begin(store, switches, wanted)
    if switches.invalid_values == "refused":
        raise WriteRefused(f"Invalid update: {' and '.join(wanted)} cannot change after the state New")
    return rest


def _move_ticket(
    store: Store, switches: Switches, table: str, record: Record, changed: Record, kept: Record, user: Record
) -> None:
    # Some sites drop a state written through the API without an error: docs/facts/servicenow.md#sandbox-33
    if switches.ignore_state_writes:
        changed["state"] = record["state"]
    if table == change_models.TABLE:
        _check_transition(record, changed, store, switches)
    if table == "incident" and "state" in kept:
        changed["incident_state"] = changed["state"]
    _look_up_priority(table, changed, kept, switches)
    _require_close_fields(table, changed, switches)
    _open_or_closed(table, record, changed, store.now_text(), user)


def _keep_journals(store: Store, table: str, sys_id: str, sent: Record, user: Record) -> None:
    # Every write of a journal field adds an entry and replaces none: docs/facts/servicenow.md#4-3-shared-task-fields
    for name in JOURNALS:
        if sent.get(name):
            entry = {"name": table, "element": name, "element_id": sys_id, "value": sent[name]}
            stamp(store, "sys_journal_field", entry, by=user["user_name"])


def _look_up_priority(table: str, record: Record, sent: Record, switches: Switches) -> None:
    if table == "incident":
        found = PRIORITY.get((record.get("impact", ""), record.get("urgency", "")), "5")
        record["priority"] = "" if switches.priority_lookup_empty else found
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


def _check_transition(before: Record, after: Record, store: Store, switches: Switches) -> None:
    if not switches.check_transitions or after["state"] == before["state"]:
        return
    if after["state"] not in change_models.next_states(store, before):
        raise _illegal_state(before)


def _illegal_state(record: Record) -> WriteRefused:
    rule = "Change Model: Check State Transition"
    aborted = f"was aborted by Business Rule '{rule}^{record['sys_id']}'. Business Rule Stack:{rule}"
    return WriteRefused(f"Operation against file 'change_request' {aborted}")


def _open_or_closed(table: str, before: Record, after: Record, now: str, user: Record) -> None:
    done = {"incident": ("7", "8"), "change_request": ("3", "4")}[table]
    by = user.get("sys_id", "")
    after["active"] = "false" if after["state"] in done else "true"
    if after["active"] == "false" and not before.get("closed_at"):
        after |= {"closed_at": now, "closed_by": by}
    if table == "incident" and after["state"] == "6" != before["state"]:
        after |= {"resolved_at": now, "resolved_by": by}
