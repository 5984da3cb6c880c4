"""What is worth knowing of settings that are right each by itself: for check-settings, doctor and its page. Changes none."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from app.core.database_address import database_by_default
from app.core.messages import T
from app.core.setting_rules import GUID
from app.microsoft_defaults import MicrosoftCloud
from app.resources import SettingNotice
from app.settings import Settings

# Names that never leave this machine or a test: https://www.rfc-editor.org/rfc/rfc6761#section-6
LOCAL_NAMES = ("localhost", "test")
# A page waits half a second longer than a setting says, and five in all are promised: docs/database.md#time-outs
LONGEST_WAIT_SECONDS = 4.5


def setting_notices(settings: Settings) -> tuple[SettingNotice, ...]:
    """Those that need a person first."""
    return tuple(
        sorted(
            [*_addresses(settings), *_roles(settings), *_database(settings), *_others(settings)],
            key=lambda notice: not notice.is_problem,
        )
    )


def is_local(origin: str) -> bool:
    """Whether an address is this machine's own, where no one stands in between who could listen."""
    host = urlsplit(origin).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").rpartition(".")[2] in LOCAL_NAMES


def _is_open_http(origin: str | None) -> bool:
    return origin is not None and origin.startswith("http://") and not is_local(origin)


def _addresses(settings: Settings) -> Iterator[SettingNotice]:
    if _is_open_http(settings.public_url):
        yield SettingNotice(
            T(
                "PUBLIC_URL is http, so anyone on the way can read sessions and act as the people they belong to. Use https."
            ),
            is_problem=True,
        )
    for name, value in (("ENTRA_AUTHORITY", settings.entra_authority), ("GRAPH_URL", settings.graph_url)):
        if _is_open_http(value):
            yield SettingNotice(
                T(
                    "%(name)s is http, so the client secret or token goes over the network in clear. Use https.",
                    name=name,
                ),
                is_problem=True,
            )
    for origin in settings.servicenow_allowed_origins:
        if _is_open_http(origin):
            yield SettingNotice(
                T(
                    "SERVICENOW_ALLOWED_ORIGINS allows %(origin)s, which is http: tickets and tokens would go over the "
                    "network in clear. Use https.",
                    origin=origin,
                ),
                is_problem=True,
            )
    if settings.public_url.startswith("https://") and not settings.trusted_proxies:
        yield SettingNotice(
            T(
                "TRUSTED_PROXIES is empty, so the audit log shows the address of your proxy in place of people’s addresses."
            )
        )


def _roles(settings: Settings) -> Iterator[SettingNotice]:
    # Settings stand strongest first. A person has the strongest role that one gives them, so a list that is all in a
    # stronger one gives nothing.
    roles = [(f"{role}_roles".upper(), holders) for role, holders in settings.role_ids.items()]
    for place, (name, holders) in enumerate(roles):
        if not holders:
            yield SettingNotice(T("%(name)s is empty, so no one has that role.", name=name))
            continue
        stronger = next((other for other, others in roles[:place] if holders <= others), None)
        if stronger is not None:
            yield SettingNotice(
                T(
                    "%(stronger)s holds all that %(name)s holds, so each of those people has the stronger role. Name other roles "
                    "in one of the two.",
                    stronger=stronger,
                    name=name,
                ),
                is_problem=stronger == roles[0][0],
            )


def _database(settings: Settings) -> Iterator[SettingNotice]:
    if settings.database_url is None:
        yield SettingNotice(
            T(
                "DATABASE_URL is not set: an embedded PostgreSQL is used, which is meant for development and small trials."
            )
        )
    elif name := database_by_default(settings.database_url.get_secret_value()):
        yield SettingNotice(
            T(
                "DATABASE_URL names no database, so the one named %(name)s is used. Write the name that you mean behind the "
                "host, after a slash.",
                name=name,
            )
        )
    for setting, seconds in (
        ("DATABASE_ANSWER_SECONDS", settings.database_answer_seconds),
        ("DATABASE_POOL_SECONDS", settings.database_pool_seconds),
    ):
        if seconds > LONGEST_WAIT_SECONDS:
            yield SettingNotice(
                T(
                    "%(name)s is above %(longest)s, so in an outage of the database a page may take longer than five seconds to "
                    "say so.",
                    name=setting,
                    longest=LONGEST_WAIT_SECONDS,
                )
            )


def _others(settings: Settings) -> Iterator[SettingNotice]:
    if settings.port == settings.worker_port:
        yield SettingNotice(
            T(
                "PORT and WORKER_PORT are both %(port)s, so web and worker cannot run on one machine.",
                port=settings.port,
            )
        )
    if GUID.fullmatch(settings.entra_client_secret.get_secret_value().lower()):
        yield SettingNotice(
            T(
                "ENTRA_CLIENT_SECRET looks like the Secret ID. The secret is what the column Value showed when it was made."
            )
        )
    if settings.shown_tenant_id != settings.entra_tenant_id:
        yield SettingNotice(
            T(
                "SECURE_SCORE_TENANT_ID is another tenant than ENTRA_TENANT_ID, so imports from Microsoft are not shown: "
                "only files of that tenant are."
            )
        )
    if settings.microsoft_cloud is not MicrosoftCloud.GLOBAL and (settings.entra_authority or settings.graph_url):
        yield SettingNotice(T("ENTRA_AUTHORITY or GRAPH_URL is set and counts, whatever MICROSOFT_CLOUD says."))
