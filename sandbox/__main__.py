"""Command line: `serve` the sandboxes alone, run the whole `demo`, or print an `env` file."""

from __future__ import annotations

import argparse
import sys

from sandbox.ports import StartupError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the process's exit status."""
    described = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    commands = described.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve the sandbox (Microsoft and ServiceNow), and nothing else")
    serving.add_argument("only", nargs="?", choices=("servicenow", "microsoft"), help="serve just this one")
    about = "add records with the keys of ServiceNow's demo data, which other people's test suites look up"
    serving.add_argument("--demo-data", action="store_true", help=about)
    commands.add_parser("demo", help="PostgreSQL, sandbox, web and worker, as processes; Ctrl-C stops all")
    commands.add_parser("env", help="print settings with fresh secrets, for trying out with docker compose")
    options = described.parse_args(arguments)
    try:
        return _run(options)
    except StartupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.command == "serve":
        from sandbox.serve import SERVERS, serve

        serve((options.only,) if options.only else SERVERS, demo_data=options.demo_data)
        return 0
    if options.command == "env":
        from sandbox.compose import settings_file

        print(settings_file())
        return 0
    if sys.platform == "win32":
        raise StartupError(
            "The demo needs Linux or macOS. On Windows, use the Linux subsystem or docker compose (README)."
        )
    from sandbox.demo import demo

    return demo()


if __name__ == "__main__":
    sys.exit(main())
