"""The command line: starts the processes and runs an operator's commands. Each command imports only what it needs."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from app.core.errors import AppError
from app.core.logging import configure_logs
from app.embedded_postgres import database_address
from app.resources import Resources
from app.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status of the process."""
    options = parser().parse_args(arguments)
    if options.command == "generate-key":
        return generate_key(options)
    try:
        settings = Settings()
    except ValidationError as error:
        print("The settings are not complete:", file=sys.stderr)
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"]).upper() or "settings"
            print(f"  {name}: {problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        print("The README's table says what each one means.", file=sys.stderr)
        return 2
    configure_logs(level=settings.log_level, as_json=settings.log_json)
    try:
        status: int = options.run(settings, options)
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = described.add_subparsers(dest="command", required=True)

    def command(name: str, run: object, help_text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_text, description=help_text)
        added.set_defaults(run=run)
        return added

    command("web", web, "serve the pages")
    command("worker", worker, "run the background jobs: imports, deliveries, state polling")
    command("migrate", migrate, "bring the database's tables up to date")
    command("sync", sync, "import Secure Score from Microsoft Graph now")
    files = command("import", import_files, "import Secure Score from files with Graph's own JSON")
    files.add_argument("--scores", type=Path, help="answer of /security/secureScores")
    files.add_argument("--profiles", type=Path, help="answer of /security/secureScoreControlProfiles")
    doctor_command = command("doctor", doctor, "check everything between here and ServiceNow, and change nothing")
    doctor_command.add_argument("--bundle", type=Path, metavar="FILE", help="also write the support bundle, a zip file")
    command("postgres", postgres, "keep the embedded PostgreSQL running and print its address")
    command("generate-key", generate_key, "print a fresh key for VAULT_KEYS")
    command("rotate-keys", rotate_keys, "seal every stored secret anew with the first of VAULT_KEYS")
    command(
        "discard-unreadable-secrets",
        discard_unreadable_secrets,
        "discard stored secrets that no key of VAULT_KEYS opens",
    )
    audit_command = command("audit", audit, "prove the audit log whole: nothing changed, removed, inserted or moved")
    audit_command.add_argument("action", choices=["verify"])
    command("make-migration", make_migration, "write a migration from what the models say").add_argument("message")
    return described


def web(settings: Settings, _options: argparse.Namespace) -> int:
    import uvicorn

    from app.bootstrap import open_resources, run_async
    from app.main import create_app, server_config

    class Server(uvicorn.Server):
        """Lets resources be closed in order: uvicorn raises the signal again once it has stopped serving."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self.handle_exit)
            yield

    async def serve(database_url: str) -> None:
        async with open_resources(settings, database_url) as resources:
            await Server(server_config(settings, create_app(resources))).serve()

    with database_address(settings) as database_url:
        run_async(lambda: serve(database_url))
    return 0


def worker(settings: Settings, _options: argparse.Namespace) -> int:
    from app.bootstrap import run_async
    from app.worker import work

    with database_address(settings) as database_url:
        run_async(lambda: work(settings, database_url))
    return 0


def migrate(settings: Settings, _options: argparse.Namespace) -> int:
    from app.core import migrations

    with database_address(settings) as database_url:
        migrations.migrate(database_url)
    print("The database is up to date.")
    return 0


def make_migration(settings: Settings, options: argparse.Namespace) -> int:
    from app.core import migrations

    with database_address(settings) as database_url:
        migrations.migrate(database_url)
        migrations.write_migration(database_url, options.message)
    return 0


def sync(settings: Settings, _options: argparse.Namespace) -> int:
    from app.cli.running import with_resources
    from app.features.secure_score.sync.import_scores import import_from_graph

    print(with_resources(settings, import_from_graph))
    return 0


def import_files(settings: Settings, options: argparse.Namespace) -> int:
    from app.cli.running import with_resources
    from app.features.secure_score.sync.import_scores import import_from_files

    if options.scores is None and options.profiles is None:
        print("Name at least one file, with --scores or --profiles.", file=sys.stderr)
        return 2
    report = with_resources(
        settings,
        lambda resources: import_from_files(
            resources.database, resources.config, scores=options.scores, profiles=options.profiles
        ),
    )
    print(report)
    return 0


def doctor(settings: Settings, options: argparse.Namespace) -> int:
    """Run the diagnosis. The exit status is 1 when a finding needs a person."""
    from app.cli.running import with_resources
    from app.features.provisioning.diagnosis import run_diagnosis
    from app.features.provisioning.support_bundle import support_bundle

    async def diagnose(resources: Resources) -> int:
        problems = 0
        async for finding in run_diagnosis(resources):
            problems += finding.is_problem
            print(finding)
        if options.bundle is not None:
            options.bundle.write_bytes(await support_bundle(resources))
            print(f"The support bundle is in {options.bundle}.")
        return problems

    problems = with_resources(settings, diagnose)
    print(f"Findings that need somebody: {problems}." if problems else "Nothing stands in the way.")
    return 1 if problems else 0


def postgres(settings: Settings, _options: argparse.Namespace) -> int:
    from app.embedded_postgres import running_postgres

    stop_requested = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_requested.set())
    with running_postgres(settings.var_dir / "postgres") as url:
        print(url, flush=True)
        stop_requested.wait()
    return 0


def generate_key(_options: argparse.Namespace) -> int:
    from app.core.vault import Vault

    print(Vault.new_key())
    return 0


def rotate_keys(settings: Settings, _options: argparse.Namespace) -> int:
    from app.cli.running import with_resources
    from app.features.connection.key_rotation import reseal_everything

    count = with_resources(settings, reseal_everything)
    print(f"{count} secrets are sealed with the first key now. The other keys may be removed from VAULT_KEYS.")
    return 0


def discard_unreadable_secrets(settings: Settings, _options: argparse.Namespace) -> int:
    from app.cli.running import with_resources
    from app.features.connection.key_rotation import forget_what_no_key_opens

    if with_resources(settings, forget_what_no_key_opens):
        print("The connection's secrets are forgotten. Connect it again on the ServiceNow page; tickets stay.")
    else:
        print("Nothing to forget: VAULT_KEYS open all that is stored, or nothing is connected.")
    return 0


def audit(settings: Settings, _options: argparse.Namespace) -> int:
    from app.cli.audit_commands import verify

    return verify(settings)


if __name__ == "__main__":
    sys.exit(main())
