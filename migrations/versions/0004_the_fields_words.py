"""tables and columns named by the glossary"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = {"pace": "instance_throttle", "refresh_cursor": "poll_cursor", "diagnosis_walk": "diagnosis_run"}
# By the new names of the tables.
COLUMNS = {
    "ticket": {
        "landing_until": "uncertain_until",
        "insisted": "force_retry",
        "sender_id": "requested_by_id",
        "sender_oid": "requested_by_oid",
        "sender_name": "requested_by_name",
    },
    "ticket_note": {
        "landing_until": "uncertain_until",
        "sender_oid": "requested_by_oid",
        "sender_name": "requested_by_name",
    },
    "ticket_event": {"at": "occurred_at", "what": "event_type", "text": "message", "by": "actor"},
    "instance_throttle": {"looked_at": "last_viewed_at", "under_way": "calls_in_flight"},
    "poll_cursor": {"rolled_at": "last_scan_at", "moved_at": "last_change_at"},
    "audit_entry": {"what": "action"},
}
# Jobs that wait in the queue are known by the name of their task.
TASKS = {
    "secure_score.keep_up": "secure_score.scheduled_sync",
    "tickets.settle": "tickets.reconcile",
    "tickets.bring_note": "tickets.deliver_note",
    "tickets.refresh": "tickets.poll",
    "tickets.choices": "tickets.state_choices",
}


def upgrade() -> None:
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            op.alter_column(table, old, new_column_name=new)
    op.execute("ALTER INDEX ix_diagnosis_walk_started_at RENAME TO ix_diagnosis_run_started_at")
    _rename_tasks(TASKS)
    _rename_argument("provisioning.diagnose", "walk_id", "run_id")


def downgrade() -> None:
    _rename_argument("provisioning.diagnose", "run_id", "walk_id")
    op.execute("ALTER INDEX ix_diagnosis_run_started_at RENAME TO ix_diagnosis_walk_started_at")
    _rename_tasks({new: old for old, new in TASKS.items()})
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            op.alter_column(table, new, new_column_name=old)
    for old, new in TABLES.items():
        op.rename_table(new, old)


def _rename_tasks(names: dict[str, str]) -> None:
    for old, new in names.items():
        # Tasks that run by the clock have locks of the same name.
        for column in ("task_name", "lock", "queueing_lock"):
            op.execute(f"UPDATE procrastinate_jobs SET {column} = '{new}' WHERE {column} = '{old}'")  # noqa: S608


def _rename_argument(task: str, old: str, new: str) -> None:
    op.execute(
        f"UPDATE procrastinate_jobs SET args = (args - '{old}') || jsonb_build_object('{new}', args -> '{old}')"  # noqa: S608
        f" WHERE task_name = '{task}' AND jsonb_exists(args, '{old}')"
    )
