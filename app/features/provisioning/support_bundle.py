"""Packs what support needs into one zip file: findings, calls with both sides' numbers, versions, settings. No secret."""

from __future__ import annotations

import io
import json
import platform
import sys
import zipfile
from dataclasses import asdict
from datetime import datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.core import clock
from app.core.logging import redact
from app.core.messages import Message, T
from app.core.queue_health import queue_health
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.connection.authorization_attempts import last_attempt
from app.features.connection.call_log import newest_calls
from app.features.connection.connection_view import connection_view
from app.features.provisioning.diagnosis import latest_run
from app.features.provisioning.list_steps import list_steps
from app.resources import Resources

# Those whose version decides how a call or a query behaves.
PACKAGES = (
    "alembic", "authlib", "cryptography", "fastapi", "httpcore", "httpx", "jinja2", "procrastinate", "psycopg",
    "pydantic", "sqlalchemy", "starlette", "uvicorn",
)  # fmt: skip
README = """\
What this file holds, all of it free of secrets:
findings.json      what "Check the connection" found last, with the advice that was given
provisioning.json  the steps between connected and working
connection.json    the connection, without client secret and tokens, and the last authorization
calls.json         the newest calls to ServiceNow: where to, how they ended, and both sides' numbers of each
                   (transaction_id is ServiceNow's: its administrator finds the call by it in the node's log;
                   correlation_id is ours). No query, header or body is kept.
queue.json         the queue's health
settings.json      the settings that matter here
versions.json      versions of everything
"""


async def support_bundle(resources: Resources, viewer: Viewer | None = None) -> bytes:
    """A zip file. `viewer` is who downloads it, None on the command line; a download is written to the audit log."""
    async with resources.database.transaction() as session:
        if viewer is not None:
            await log_action(session, viewer, T("Support bundle downloaded"))
        connection = await connection_view(session)
        files: dict[str, Any] = {
            "findings.json": await latest_run(session),
            "provisioning.json": await list_steps(session),
            "connection.json": {"connection": connection, "last_consent": await last_attempt(session)},
            "calls.json": await newest_calls(session),
            "queue.json": await queue_health(session),
            "settings.json": _settings(resources, connection.origin if connection else ""),
            "versions.json": _versions() | {
                "postgresql": (await session.execute(text("SHOW server_version"))).scalar_one(),
                "migration": resources.expected_revision or "",
                "servicenow": connection.release_build if connection else "",
                "made_at": clock.now(),
            },
        }  # fmt: skip
    packed = io.BytesIO()
    # Redacted again as a whole, in case a view contains a secret that its own redaction missed.
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README)
        for name, content in files.items():
            archive.writestr(name, json.dumps(redact(_plain(content)), indent=1, ensure_ascii=False))
    return packed.getvalue()


def _settings(resources: Resources, origin: str) -> dict[str, Any]:
    transport = resources.servicenow
    return {
        **asdict(resources.config),
        "calls_go_through_a_proxy": bool(origin) and transport.goes_through_proxy(origin),
        "address_policy_applies": transport.address_policy is not None,
    }


def _versions() -> dict[str, Any]:
    return {"python": sys.version, "system": platform.platform(), **{name: _version(name) for name in PACKAGES}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a view.
    """As JSON can hold it; messages become the text that a person reads."""
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return value.value
        case Message() | UUID() | str():
            return str(value)
        case datetime():
            return value.isoformat()
        case dict():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        # Views are frozen dataclasses; a new field of one is in the bundle without a change here.
        case _ if hasattr(value, "__dataclass_fields__"):
            return _fields(value)
        case _:
            return str(value)


def _fields(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass.
    # `redact` cuts out what is called `state`, because OAuth's state is a secret: ours is called verdict here.
    return {"verdict" if name == "state" else name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
