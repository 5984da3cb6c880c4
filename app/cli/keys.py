"""Commands for the vault's keys: rotate them, bind old secrets to their rows, discard what no key opens. Prints no secret."""

from __future__ import annotations

import sys

from app.bootstrap import open_resources, run_async
from app.core.process_reports import RunningProcess, running_processes
from app.features.connection.key_rotation import (
    bind_everything,
    forget_what_no_key_opens,
    keys_in_use,
    reseal_everything,
)
from app.resources import Resources
from app.settings import Settings

STEPS = (
    "Give every web and every worker the same VAULT_KEYS, the newest first, restart each, and run rotate-keys again."
)


def bind_secrets(settings: Settings, database_url: str) -> None:
    """After the schema migration: bind what an earlier version sealed. Changes nothing where that was done before."""

    async def bind() -> None:
        async with open_resources(settings, database_url) as resources:
            bound = await bind_everything(resources)
        if bound.count:
            print(f"{bound.count} stored secrets are bound to their rows now.")
        if bound.unopened:
            print(
                f"{bound.unopened} stored secrets do not open with VAULT_KEYS and stay as they are. Run migrate again with "
                "the keys that sealed them, or connect again on the ServiceNow page.",
                file=sys.stderr,
            )

    run_async(bind)


async def rotate(resources: Resources) -> int:
    """Seal everything with the first key, unless a running process lacks it. The exit status: 1 when something is left to do."""
    first = resources.vault.fingerprints[0]
    processes = await _running(resources)
    lacking = [process for process in processes if first not in process.keys]
    if lacking:
        print(f"Nothing was changed: the first of VAULT_KEYS ({first}) is not known to", file=sys.stderr)
        _list(lacking)
        print(
            f"They could open nothing any more. {STEPS} A process that was killed counts for a minute.", file=sys.stderr
        )
        return 1
    resealed = await reseal_everything(resources)
    print(f"{resealed.count} secrets are sealed with the first key ({first}) now.")
    if resealed.unopened:
        print(f"{resealed.unopened} more open with none of VAULT_KEYS in their place, and stay as they are.")
    # Read again: one may have started meanwhile.
    processes = await _running(resources)
    behind = [process for process in processes if process.keys[:1] != [first]]
    if behind:
        print("Keep the older keys: these processes still seal with another key than the first.", file=sys.stderr)
        _list(behind)
        print(STEPS, file=sys.stderr)
        return 1
    if not processes:
        print("No web or worker has reported within a minute, so none could be asked which keys it holds.")
    if len(resources.vault.fingerprints) > 1:
        print(
            "The older keys may be removed now: take them out of VAULT_KEYS of every web and worker, and restart each a "
            "second time. Keep them with the backups that were made before."
        )
    return 0


async def discard_unreadable(resources: Resources) -> int:
    """Discard the connection's secrets if no key opens them, unless a running process holds the key that is missing here."""
    async with resources.database.transaction() as session:
        missing = await keys_in_use(session) - set(resources.vault.fingerprints)
    holders = [process for process in await _running(resources) if missing & set(process.keys)]
    if holders:
        print(
            f"Nothing was discarded: the key that is missing here ({', '.join(sorted(missing))}) is held by",
            file=sys.stderr,
        )
        _list(holders)
        print("Give this command their VAULT_KEYS. If their key is to go, stop them first.", file=sys.stderr)
        return 1
    if await forget_what_no_key_opens(resources):
        print("The connection's secrets are forgotten. Connect it again on the ServiceNow page; tickets stay.")
    else:
        print("Nothing to forget: VAULT_KEYS open all that is stored, or nothing is connected.")
    return 0


async def _running(resources: Resources) -> list[RunningProcess]:
    async with resources.database.transaction() as session:
        return await running_processes(session)


def _list(processes: list[RunningProcess]) -> None:
    for process in processes:
        print(f"  {process}, which holds {', '.join(process.keys)}", file=sys.stderr)
