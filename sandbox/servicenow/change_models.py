"""Type and model of a change request: what a new change gets, which states it walks, until when both may change."""
# See docs/facts/servicenow.md#3-5-change-management and #4-2-change-request

from __future__ import annotations

import json

from sandbox.servicenow.store import Record, Store
from sandbox.servicenow.switches import Switches

TABLE = "change_request"
Walk = dict[str, tuple[str, ...]]
NEW, CANCELED = "-5", "4"
# A normal change passes all states, a standard one skips Assess and Authorize, an emergency one skips Assess. Review and
# Closed cannot be canceled: docs/facts/servicenow.md#4-2-change-request
WALKS: dict[str, Walk] = {
    "normal": {
        "-5": ("-4", "4"), "-4": ("-3", "-5", "4"), "-3": ("-2", "-4", "4"), "-2": ("-1", "4"),
        "-1": ("0", "4"), "0": ("3", "-1"), "3": (), "4": (),
    },
    "standard": {"-5": ("-2", "4"), "-2": ("-1", "4"), "-1": ("0", "4"), "0": ("3", "-1"), "3": (), "4": ()},
    "emergency": {
        "-5": ("-3", "4"), "-3": ("-2", "4"), "-2": ("-1", "4"), "-1": ("0", "4"), "0": ("3", "-1"), "3": (), "4": (),
    },
}  # fmt: skip
# A model as a site defines its own; its changes keep the type normal.
REGISTRATION = {"-5": ("-1", "4"), "-1": ("3", "4"), "3": (), "4": ()}


def model_named(store: Store, name: str) -> Record | None:
    """Return the active model of this name, in whatever case."""
    wanted = name.lower()
    return next((row for row in store.rows("chg_model") if row["name"].lower() == wanted and is_active(row)), None)


def is_active(model: Record) -> bool:
    return model.get("active") == "true"


def begin(store: Store, switches: Switches, sent: Record) -> Record:
    """Return `type` and `chg_model` of a change, by what was sent for them."""
    model = store.get("chg_model", sent.get("chg_model", ""))
    kind = sent.get("type", "")
    if model is not None:
        return {"chg_model": model["sys_id"], "type": _type_of(model)}
    if kind:
        # Without type compatibility the model of that name counts. A type without a model makes the change Legacy: it has no
        # model and walks by its type.
        found = None if switches.type_compatibility else model_named(store, kind)
        return {"chg_model": found["sys_id"] if found else "", "type": kind}
    if switches.change_default == "neither":
        return {"chg_model": "", "type": ""}
    found = model_named(store, "normal") if switches.change_default == "model" else None
    return {"chg_model": found["sys_id"] if found else "", "type": "normal"}


def walk_of(store: Store, record: Record) -> Walk:
    """Return the states of a change, each with those it leads to; the first one is the initial state."""
    model = store.get("chg_model", record.get("chg_model", "")) or {}
    if model.get("_walk"):
        own: dict[str, list[str]] = json.loads(model["_walk"])
        return {state: tuple(there) for state, there in own.items()}
    return WALKS.get(_type_of(model) if model else record.get("type", ""), WALKS["normal"])


def next_states(store: Store, record: Record) -> tuple[str, ...]:
    """Return the states that a change may move to from its current one."""
    return walk_of(store, record).get(record["state"], ())


def initial_state(store: Store, record: Record) -> str:
    return next(iter(walk_of(store, record)), NEW)


def is_fixed(store: Store, record: Record) -> bool:
    """Return whether type and model can no longer change: the change has left its initial state."""
    return record["state"] != initial_state(store, record)


def model_row(name: str, about: str, walk: Walk | None = None) -> Record:
    """Return a row of chg_model; a model that is not named as a type has a walk of its own."""
    row = {
        "name": name, "description": about, "active": "true", "available_in_ui": "true", "table_name": TABLE,
        "state_field": "state", "default_change_model": "true" if name == "Normal" else "false",
    }  # fmt: skip
    return row | ({"_walk": json.dumps(walk)} if walk else {})


def _type_of(model: Record) -> str:
    kind = model["name"].lower()
    return kind if kind in WALKS else "normal"
