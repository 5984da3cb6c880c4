"""The command line: starts the processes and runs an operator's commands. Each command imports only what it needs."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app import __version__
from app.cli.read_settings import read_settings
from app.core.errors import AppError
from app.core.logging import configure_logs
from app.core.setting_rules import WrongSetting
from app.embedded_postgres import database_address
from app.settings import Settings

# The exit status of a command line or a setting that cannot be used, as argparse has it.
WRONG_SETTINGS = 2


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status of the process."""
    options = parser().parse_args(arguments)
    if options.command == "generate-key":
        return generate_key(options)
    settings = read_settings()
    if settings is None:
        return WRONG_SETTINGS
    configure_logs(level=settings.log_level, as_json=settings.log_json)
    try:
        status: int = options.run(settings, options)
    except WrongSetting as error:
        print(error, file=sys.stderr)
        return WRONG_SETTINGS
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from app.core.database_trouble import no_database, trouble_of

        if trouble_of(error) is None:
            raise
        print(no_database(error), file=sys.stderr)
        return 1
    return status


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    described.add_argument("--version", action="version", version=f"security-center {__version__}")
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
    command(
        "check-settings", check_settings, "print every setting in force, without secrets, and what to know about them"
    )
    command("postgres", postgres, "keep the embedded PostgreSQL running and print its address")
    command("generate-key", generate_key, "print a fresh key for VAULT_KEYS")
    command("rotate-keys", rotate_keys, "seal every stored secret anew with the first of VAULT_KEYS")
    command(
        "discard-unreadable-secrets",
        discard_unreadable_secrets,
        "discard stored secrets that no key of VAULT_KEYS opens",
    )
    command("backup", backup, "write the whole database into one file").add_argument("file", type=Path, metavar="FILE")
    command("restore", restore, "fill an empty database from a backup").add_argument("file", type=Path, metavar="FILE")
    verify_command = command("verify", verify, "check that the database is whole, and a backup if one is named")
    verify_command.add_argument("file", type=Path, nargs="?", metavar="FILE")
    command("recount", recount, "count all tickets again, where verify says that the numbers of pages are wrong")
    erase_command = command("erase", erase, "export what is held about a person, and remove it")
    erase_command.add_argument("person", metavar="PERSON", help="id, e-mail address or Entra ID's object id")
    erase_command.add_argument("--export", type=Path, metavar="FILE", help="where the export goes")
    erase_command.add_argument("--dry-run", action="store_true", help="only say what is held")
    erase_command.add_argument("--yes", action="store_true", help="really remove it")
    retention_command = command(
        "retention", retention, "delete what has been kept long enough, as the worker does nightly"
    )
    retention_command.add_argument("--dry-run", action="store_true", help="only count it")
    asked = command(
        "healthy", healthy, "say whether the web or the worker on this machine is healthy; exit status 1 if not"
    )
    asked.add_argument("process", choices=("web", "worker"))
    audit_command = command("audit", audit, "prove the audit log whole: nothing changed, removed, inserted or moved")
    audit_command.add_argument("action", choices=["verify"])
    command("make-migration", make_migration, "write a migration from what the models say").add_argument("message")
    return described


def web(settings: Settings, _options: argparse.Namespace) -> int:
    import uvicorn

    from app.bootstrap import open_resources, reporting_as, run_async, traced
    from app.core.loop_watch import watched_loop
    from app.core.metrics import EVENT_LOOP_HELD
    from app.core.schema_guard import require_fit_database
    from app.listen import bound_sockets, start_listening
    from app.main import create_app, server_config

    class Server(uvicorn.Server):
        """Lets resources be closed in order: uvicorn raises the signal again once it has stopped serving."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self.handle_exit)
            yield

    async def serve(database_url: str) -> None:
        async with open_resources(settings, database_url, process="web") as resources:
            await require_fit_database(resources.database, resources.expected_revision)
            with watched_loop("web", report=lambda _seconds: EVENT_LOOP_HELD.inc()):
                async with reporting_as("web", resources):
                    server = Server(server_config(settings, create_app(resources)))
                    start_listening(sockets)
                    await server.serve(sockets=sockets)

    with (
        bound_sockets(settings.host, settings.port) as sockets,
        database_address(settings) as database_url,
        traced(settings, "web"),
    ):
        run_async(lambda: serve(database_url))
    return 0


def worker(settings: Settings, _options: argparse.Namespace) -> int:
    from app.bootstrap import run_async
    from app.worker import work

    with database_address(settings) as database_url:
        run_async(lambda: work(settings, database_url))
    return 0


def migrate(settings: Settings, _options: argparse.Namespace) -> int:
    from app.bootstrap import connection_options
    from app.cli.keys import bind_secrets
    from app.core import schema_guard

    with database_address(settings) as database_url:
        schema_guard.migrate(database_url, connection_options(settings, "migrate"))
        bind_secrets(settings, database_url)
    print("The database is up to date.")
    return 0


def make_migration(settings: Settings, options: argparse.Namespace) -> int:
    from app.core import migrations, schema_guard

    with database_address(settings) as database_url:
        schema_guard.migrate(database_url)
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
    from app.cli.diagnose import diagnose
    from app.cli.running import with_resources

    return with_resources(settings, lambda resources: diagnose(resources, options.bundle), any_schema=True)


def check_settings(settings: Settings, _options: argparse.Namespace) -> int:
    """Print the settings. The exit status is 1 when a notice needs a person."""
    from app.cli.settings_report import notices_report, settings_report

    for line in settings_report(settings):
        print(line)
    notices, problems = notices_report(settings)
    for line in notices:
        print(line)
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
    from app.cli.keys import rotate
    from app.cli.running import with_resources

    return with_resources(settings, rotate, patient=True)


def discard_unreadable_secrets(settings: Settings, _options: argparse.Namespace) -> int:
    from app.cli.keys import discard_unreadable
    from app.cli.running import with_resources

    return with_resources(settings, discard_unreadable)


def healthy(settings: Settings, options: argparse.Namespace) -> int:
    from app.cli.healthy import ask_port

    asked = ask_port(settings, options.process)
    if asked is not None:
        return asked
    from app.cli.reported_worker import has_reported
    from app.cli.running import with_resources

    return with_resources(settings, has_reported)


def backup(settings: Settings, options: argparse.Namespace) -> int:
    from app.cli import keeping

    return keeping.backup(settings, options)


def restore(settings: Settings, options: argparse.Namespace) -> int:
    from app.cli import keeping

    return keeping.restore(settings, options)


def verify(settings: Settings, options: argparse.Namespace) -> int:
    from app.cli import keeping

    return keeping.verify(settings, options)


def recount(settings: Settings, options: argparse.Namespace) -> int:
    from app.cli import keeping

    return keeping.recount(settings, options)


def erase(settings: Settings, options: argparse.Namespace) -> int:
    from app.cli import keeping

    return keeping.erase(settings, options)


def retention(settings: Settings, options: argparse.Namespace) -> int:
    from app.cli import keeping

    return keeping.retention(settings, options)


def audit(settings: Settings, _options: argparse.Namespace) -> int:
    from app.cli.audit_commands import verify

    return verify(settings)


if __name__ == "__main__":
    sys.exit(main())
