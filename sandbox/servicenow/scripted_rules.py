"""Business rules that an administrator wrote as rows of `sys_script`: those that abort a write. Runs no script."""

from __future__ import annotations

from sandbox.servicenow.query_parser import QueryContext, parse_query
from sandbox.servicenow.query_scripts import ScriptUser
from sandbox.servicenow.store import Record, Store

TABLE = "sys_script"


def refusal(store: Store, table: str, record: Record, user: Record, *, is_new: bool) -> str:
    """Return the message of the first active rule that aborts the write of this record, or ""."""
    # https://www.servicenow.com/docs/csh?topicname=c_BusinessRules.html (Abort action)
    occasion = "action_insert" if is_new else "action_update"
    caller = ScriptUser(user.get("sys_id", ""), user.get("time_zone") or "UTC", store.now())
    for rule in store.rows(TABLE):
        applies = all(rule.get(name) == "true" for name in ("active", "abort_action", occasion))
        if not applies or rule.get("collection") != table:
            continue
        if parse_query(rule.get("filter_condition", ""), QueryContext(store, caller), table).matches(record):
            return rule.get("message") or f"Operation was aborted by Business Rule '{rule['name']}'"
    return ""
