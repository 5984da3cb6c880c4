"""Texts about our own side: settings, the worker and its queue, held tickets, the age of the import."""

from __future__ import annotations

from app.core.messages import T
from app.features.provisioning.finding import FindingText, State

# fmt: off
QUEUE, TICKETS, IMPORT = T("Queue"), T("Tickets"), T("Secure Score import")

SETTINGS, STORAGE, KEYS = T("Settings"), T("Storage"), T("Keys of running processes")

INTERNAL_FINDINGS = {
    "settings": FindingText(State.GOOD, SETTINGS, T("Nothing about the settings stands out.")),
    "settings_notable": FindingText(
        State.NOTE, SETTINGS, T("%(notices)s"),
        advice=T("Leave it if it is meant so. python -m app check-settings lists every setting in force."),
    ),
    "settings_unsafe": FindingText(
        State.PROBLEM, SETTINGS, T("%(notices)s"),
        advice=T("Change the settings and restart web and worker. python -m app check-settings lists every setting in force."),
    ),
    "storage": FindingText(State.GOOD, STORAGE, T("PostgreSQL stores what it is sent.")),
    "storage_refused": FindingText(
        State.PROBLEM, STORAGE, T("PostgreSQL answers, and stores nothing: %(cause)s."),
        advice=T("Give it space, or make it the server that may be written to. What was confirmed is safe, and goes on then."),
    ),
    "keys": FindingText(State.GOOD, KEYS, T("Every web and worker that runs holds the keys of the stored secrets.")),
    "keys_differ": FindingText(
        State.PROBLEM, KEYS,
        T("The key of the stored secrets (%(keys)s) is not known to %(processes)s. What they take up cannot be sent, and waits."),
        advice=T("Give every web and every worker the same VAULT_KEYS, and restart each."),
    ),
    "queue": FindingText(
        State.GOOD, QUEUE, T("Workers: %(workers)s. Jobs due: %(due)s. Failed for good: %(failed)s."),
    ),
    "no_worker": FindingText(
        State.PROBLEM, T("Worker"), T("No worker is running, so nothing is sent or refreshed. Jobs due: %(due)s."),
        advice=T("Start one: python -m app worker"),
    ),
    "queue_stuck": FindingText(
        State.PROBLEM, QUEUE, T("The oldest job has been due for %(minutes)s minutes. Jobs due: %(due)s."),
        advice=T("Look at the worker’s log, and start another worker if it has too much to do."),
    ),
    "jobs_failed": FindingText(
        State.NOTE, QUEUE,
        T("Jobs that failed and are not tried again by themselves: %(failed)s. Workers: %(workers)s. Jobs due: %(due)s."),
        advice=T("Open Failed jobs on this page: it says what each was for and why it failed. Press Retry there."),
    ),
    "tickets": FindingText(State.GOOD, TICKETS, T("None is held. On their way: %(queued)s.")),
    "tickets_held": FindingText(
        State.NOTE, TICKETS, T("Tickets that wait for a person: %(held)s. On their way: %(queued)s."),
        advice=T("Open Tickets, show those that are held, and read what each one needs."),
    ),
    "import": FindingText(State.GOOD, IMPORT, T("Imported %(hours)s hours ago.")),
    "import:fresh": FindingText(State.GOOD, IMPORT, T("Imported less than two hours ago.")),
    "import_missing": FindingText(
        State.NOTE, IMPORT, T("No Secure Score has been imported from Microsoft yet."),
        advice=T("Open Secure Score > Imports, and press Sync now."),
    ),
    "import_stale": FindingText(
        State.PROBLEM, IMPORT, T("The Secure Score is %(hours)s hours old."),
        advice=T("Open Secure Score > Imports: the last runs say what went wrong."),
    ),
    "score_stale": FindingText(
        State.NOTE, IMPORT,
        T("The imports work, but Microsoft’s newest score is %(days)s days old. It normally makes one a day."),
        advice=T("Nothing has to be changed here. Look at the service health in Microsoft’s admin center."),
    ),
    # The outcome on the provisioning page; no check makes it.
    "cards:unconfirmed": FindingText(
        State.PROBLEM, T("Cards on the home page"), T("Hidden until somebody has confirmed the account."),
    ),
    "cards:stale": FindingText(
        State.PROBLEM, T("Cards on the home page"),
        T("The cards stay on the home page, with what was last known and how old it is. Nothing is sent or refreshed "
          "until the connection is authorized."),
    ),
    "cards:all": FindingText(State.GOOD, T("Cards on the home page"), T("All cards are shown.")),
    "cards:some": FindingText(State.NOTE, T("Cards on the home page"), T("Not every card is shown.")),
    "cards:hidden": FindingText(
        State.PROBLEM, T("Cards on the home page"), T("Hidden until the problems above are solved."),
    ),
}
