"""What becomes of each table: whether a backup holds it, how long its rows stay, what of a person is in it. No queries.

A table that is not listed here fails the tests, so that the author of one decides.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Keeping:
    """`until` says when rows are deleted. `not_in_backup` is the reason why a backup leaves the rows out; empty if it does not.

    `personal` are the columns that tell who a person is: `features/keeping/erase.py` empties or replaces them.
    `also_names` are columns that look as if they did, with the reason why they are left as they are.
    """

    until: str
    personal: tuple[str, ...] = ()
    also_names: tuple[tuple[str, str], ...] = ()
    not_in_backup: str = ""


# Retention: what `until` says is done by keeping/retention.py, or by the feature itself.
FOR_EVER = "kept"
WITH_ITS_PERSON = "deleted with the person"
WITH_ITS_CONNECTION = "kept with its connection, which is never deleted"
WITH_ITS_TICKET = "deleted with its ticket"

KEPT: dict[str, Keeping] = {
    # accounts
    "person": Keeping("until erased", personal=("oid", "display_name", "email")),
    "web_session": Keeping(
        "KEEP_SESSIONS_DAYS after its end",
        personal=("person_id",),
        also_names=(
            ("token_hash", "a digest of a random cookie"),
            ("user_agent", "deleted with the row"),
            ("address", "deleted with the row"),
        ),
        not_in_backup="a session that was ended after the backup would be open again",
    ),
    "sign_in_attempt": Keeping(
        "an hour after it expired",
        also_names=(("state_hash", "a digest of a random value"), ("browser_hash", "a digest of a random cookie")),
        not_in_backup="good for minutes only",
    ),
    "unsent_form": Keeping(
        "a quarter of an hour",
        personal=("person_id",),
        also_names=(("browser_hash", "a digest of a random cookie"),),
        not_in_backup="good for minutes only",
    ),
    "home_layout": Keeping(WITH_ITS_PERSON, personal=("person_id",)),
    "audit_entry": Keeping(
        "KEEP_AUDIT_DAYS",
        personal=("person_name", "person_email", "address"),
        also_names=(
            ("person_id", "says that entries are of one person, not who it is, once that row is erased"),
            ("person_salt", "emptied with the name; then the digest below fits none"),
            ("person_hash", "a digest that needs the salt"),
            ("previous_hash", "a digest of the entry before"),
        ),
    ),
    "audit_checkpoint": Keeping(
        "kept: both ends of the audit log's chain",
        also_names=(("last_hash", "a digest of an entry"), ("first_previous_hash", "a digest of an entry")),
    ),
    # connection
    "connection": Keeping(
        FOR_EVER,
        also_names=(
            ("connected_by", "as in audit_entry"),
            ("instance_name", "an instance"),
            ("expected_user_name", "the integration user, an account of a machine"),
            ("user_sys_id", "as expected_user_name"),
            ("user_name", "as expected_user_name"),
            ("user_display_name", "as expected_user_name"),
            ("user_email", "as expected_user_name"),
        ),
    ),
    "authorization_attempt": Keeping(
        "a day",
        personal=("person_id",),
        also_names=(
            ("state_hash", "a digest of a random value"),
            ("browser_hash", "a digest of a random cookie"),
            ("instance_name", "an instance"),
            ("expected_user_name", "as in connection"),
        ),
        not_in_backup="good for minutes only",
    ),
    "call_record": Keeping("a week, and 10,000 at most"),
    "ticket_preferences": Keeping(WITH_ITS_CONNECTION, also_names=(("group_name", "a group of the instance"),)),
    "instance_throttle": Keeping(WITH_ITS_CONNECTION),
    "call_lease": Keeping("seconds", not_in_backup="belongs to a process that runs"),
    # secure score
    "score_snapshot": Keeping("kept: the trends of a year need what Graph forgets after 90 days"),
    "control_score": Keeping("kept with its snapshot"),
    "improvement_action": Keeping(
        FOR_EVER,
        also_names=(
            ("state_by", "what Graph says; erase it there"),
            ("profile_hash", "a digest of Graph's catalog"),
            ("user_impact", "what the action means for users"),
        ),
    ),
    "score_change": Keeping("derived from the snapshots at each import"),
    "control_rename": Keeping(FOR_EVER),
    "action_plan": Keeping(FOR_EVER, personal=("decided_by",)),
    "status_change": Keeping(FOR_EVER, personal=("decided_by",)),
    "action_note": Keeping(FOR_EVER, personal=("author_id", "author_name")),
    "action_tag": Keeping(FOR_EVER),
    "score_zones": Keeping(FOR_EVER, personal=("set_by",)),
    "import_run": Keeping("KEEP_IMPORT_RUNS_DAYS", personal=("asked_by",)),
    # tickets
    "ticket": Keeping(
        "KEEP_CLOSED_TICKETS_DAYS, once it is closed",
        personal=("requested_by_id", "requested_by_oid", "requested_by_name"),
        also_names=(
            ("name", "the subject of the ticket"),
            ("assigned_to", "what ServiceNow says; erase it there"),
        ),
    ),
    "ticket_tally": Keeping("derived from the tickets at each commit", not_in_backup="counted again by the restore"),
    "ticket_note": Keeping(WITH_ITS_TICKET, personal=("requested_by_oid", "requested_by_name")),
    "ticket_action": Keeping(WITH_ITS_TICKET),
    "ticket_search": Keeping(
        WITH_ITS_TICKET, not_in_backup="written again by the restore, in the server's own lower case"
    ),
    "ticket_event": Keeping(WITH_ITS_TICKET, personal=("actor",)),
    "own_sys_id_rule": Keeping(WITH_ITS_CONNECTION),
    "state_name": Keeping(WITH_ITS_CONNECTION),
    "state_choice": Keeping(WITH_ITS_CONNECTION),
    "poll_cursor": Keeping(WITH_ITS_CONNECTION),
    # provisioning
    "provisioning_step": Keeping(WITH_ITS_CONNECTION),
    "diagnosis_run": Keeping("the newest few", personal=("asked_by",)),
    "checklist_mark": Keeping(FOR_EVER, personal=("done_by",)),
    "status_token": Keeping(FOR_EVER, personal=("created_by",), also_names=(("name", "what the token is called"),)),
    # the queue
    "procrastinate_workers": Keeping("until it is silent"),
    "procrastinate_jobs": Keeping("until it succeeds; failed ones KEEP_FAILED_JOBS_DAYS"),
    "procrastinate_periodic_defers": Keeping("with its job"),
    "procrastinate_events": Keeping("with its job"),
    "procrastinate_job_reasons": Keeping("with its job"),
    # processes
    "running_process": Keeping("minutes after its last report", not_in_backup="belongs to a process that runs"),
    # stamps of what pages show
    "page_version": Keeping(
        "kept: one row per topic",
        not_in_backup="a number that was used after the backup would be used again, for other content",
    ),
    # Alembic
    "alembic_version": Keeping(FOR_EVER, not_in_backup="the manifest says it"),
}
WITHOUT_ROWS = {name: kept.not_in_backup for name, kept in KEPT.items() if kept.not_in_backup}
