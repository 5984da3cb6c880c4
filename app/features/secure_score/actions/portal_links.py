"""Addresses of Microsoft's portals in the tenant's cloud, and what to make of an old address. Pure.

Sources: docs/facts/microsoft-graph.md#1-7-national-clouds and docs/facts/microsoft-graph.md#3-1-pages-and-tabs
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from app.features.secure_score.html_text import is_web_address

GLOBAL, US_GOVERNMENT, US_DEFENSE = "global", "usgov", "dod"
SECURE_SCORE_PAGES = {
    GLOBAL: "https://security.microsoft.com/exposure-secure-scores",
    # Whether these clouds have the page of Exposure Management is not known; the older path is that of all clouds.
    US_GOVERNMENT: "https://security.microsoft.us/securescore",
    US_DEFENSE: "https://security.apps.mil/securescore",
}
TEAMS_HOSTS = {
    GLOBAL: "teams.microsoft.com",
    US_GOVERNMENT: "gov.teams.microsoft.us",
    US_DEFENSE: "dod.teams.microsoft.us",
}
# Each portal's host by cloud. A commercial address in the catalog of another cloud leads to a portal that does not know the
# tenant; the other direction never occurs.
PORTALS = {
    "security.microsoft.com": {US_GOVERNMENT: "security.microsoft.us", US_DEFENSE: "security.apps.mil"},
    "entra.microsoft.com": {US_GOVERNMENT: "entra.microsoft.us", US_DEFENSE: "entra.microsoft.us"},
    "portal.azure.com": {US_GOVERNMENT: "portal.azure.us", US_DEFENSE: "portal.azure.us"},
    "intune.microsoft.com": {US_GOVERNMENT: "intune.microsoft.us", US_DEFENSE: "intune.microsoft.us"},
    "purview.microsoft.com": {US_GOVERNMENT: "purview.microsoft.us", US_DEFENSE: "purview.apps.mil"},
    "admin.microsoft.com": {US_GOVERNMENT: "portal.office365.us", US_DEFENSE: "portal.apps.mil"},
    # https://learn.microsoft.com/microsoftteams/plan-for-government-gcc-high
    "admin.teams.microsoft.com": {
        US_GOVERNMENT: "admin.gov.teams.microsoft.us",
        US_DEFENSE: "admin.dod.teams.microsoft.us",
    },
    "admin.exchange.microsoft.com": {},
}
# A portal whose host in another cloud is not known is reached from that cloud's Microsoft 365 admin center.
WITH_ALL_PORTALS = "admin.microsoft.com"
# Hosts that were renamed and kept their paths and fragments.
MOVED = {
    "aad.portal.azure.com": "entra.microsoft.com",
    "endpoint.microsoft.com": "intune.microsoft.com",
    "devicemanagement.microsoft.com": "intune.microsoft.com",
}
CLOUD_APPS = "portal.cloudappsecurity.com"
# Hosts whose paths mean nothing at their successor, so that only its first page is a right link.
REPLACED = {
    "compliance.microsoft.com": "purview.microsoft.com",
    "protection.office.com": "security.microsoft.com",
    CLOUD_APPS: "security.microsoft.com",
    "sip.protection.office.com": "security.microsoft.com",
    "securescore.microsoft.com": "security.microsoft.com",
    "securescore.office.com": "security.microsoft.com",
    "securitycenter.microsoft.com": "security.microsoft.com",
    "securitycenter.windows.com": "security.microsoft.com",
    "portal.atp.azure.com": "security.microsoft.com",
}


@dataclass(frozen=True)
class ManageLink:
    """Where an action is managed: an address, its host, and whether that is one of Microsoft's portals."""

    url: str
    host: str
    is_portal: bool


def manage_link(address: str, cloud: str) -> ManageLink | None:
    """None for what is no web address."""
    if not is_web_address(address):
        return None
    parts = urlsplit(address.strip())
    named = (parts.hostname or "").rstrip(".")
    # Cloud App Security had a host for each tenant.
    named = CLOUD_APPS if named.endswith(f".{CLOUD_APPS}") else named
    today = REPLACED.get(named) or MOVED.get(named, named)
    host = _host_in_cloud(today, cloud)
    if named in REPLACED or _is_elsewhere(today, cloud):
        parts = parts._replace(path="/", query="", fragment="")
    if host != parts.hostname:
        parts = parts._replace(netloc=host)
    return ManageLink(urlunsplit(parts), host, is_portal=_is_portal(host))


def _is_elsewhere(host: str, cloud: str) -> bool:
    """Whether this commercial portal has no known host in the cloud."""
    return cloud != GLOBAL and host in PORTALS and cloud not in PORTALS[host]


def _host_in_cloud(host: str, cloud: str) -> str:
    # Never from a sovereign cloud to the commercial one: docs/facts/microsoft-graph.md#edge-41
    return PORTALS[WITH_ALL_PORTALS][cloud] if _is_elsewhere(host, cloud) else PORTALS.get(host, {}).get(cloud, host)


def _is_portal(host: str) -> bool:
    return host in PORTALS or any(host in hosts.values() for hosts in PORTALS.values())


def secure_score_page(cloud: str) -> str:
    return SECURE_SCORE_PAGES.get(cloud, SECURE_SCORE_PAGES[GLOBAL])


def teams_share_page(cloud: str) -> str:
    # https://learn.microsoft.com/microsoftteams/platform/concepts/build-and-test/share-to-teams-from-web-apps
    return f"https://{TEAMS_HOSTS.get(cloud, TEAMS_HOSTS[GLOBAL])}/share"
