"""Normalize Graph's spellings of categories, levels, tiers, threats and products. Pure tables."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum

from app.core.messages import Message, T


class Category(StrEnum):
    """The categories a ticket may carry; the value is what is sent to ServiceNow and shown.

    Source: docs/facts/microsoft-graph.md#3-4-the-servicenow-connector-of-2020-retired
    """

    DEVICES = "Devices"
    DATA = "Data"
    APPS = "Apps"
    IDENTITY = "Identity"
    INFRASTRUCTURE = "Infrastructure"


# Keys are lower case. The five categories are those that a ticket of the connector of 2020 could carry; "Account" is from
# the beta API of 2018, and pages write Device or Devices, App or Apps.
# docs/facts/microsoft-graph.md#1-4-securescorecontrolprofile, docs/facts/microsoft-graph.md#edge-37
CATEGORIES = {
    "identity": Category.IDENTITY,
    "account": Category.IDENTITY,
    "data": Category.DATA,
    "device": Category.DEVICES,
    "devices": Category.DEVICES,
    "app": Category.APPS,
    "apps": Category.APPS,
    "application": Category.APPS,
    "applications": Category.APPS,
    "infrastructure": Category.INFRASTRUCTURE,
}
# Documented are Config, Review and Behavior. What Microsoft's own defaults earn is seen as Provider and ProviderGenerated,
# which no document names: docs/facts/microsoft-graph.md#1-4-securescorecontrolprofile
ACTION_TYPES = {
    "config": T("Configuration"),
    "review": T("Regular review"),
    "behavior": T("Behavior of people"),
    "provider": T("Set by Microsoft’s defaults"),
    "providergenerated": T("Set by Microsoft’s defaults"),
}
PROVIDER_TYPES = frozenset({"provider", "providergenerated"})
LEVEL_NAMES = {"low": T("Low"), "medium": T("Medium"), "high": T("High"), "unknown": T("Unknown")}
# Documented are low, moderate and high; captures hold medium, Unknown and null as well, in any case.
# docs/facts/microsoft-graph.md#edge-36
LEVELS = {"low": "low", "medium": "medium", "moderate": "medium", "high": "high"}
# Documented as "Defense in Depth", captured as "Defense In Depth": docs/facts/microsoft-graph.md#edge-38
TIERS = {"core": "Core", "defense in depth": "Defense in depth", "advanced": "Advanced"}
# Graph's short names of services in the captures of 2024 to 2026, with the names of the products.
# docs/facts/microsoft-graph.md#1-4-securescorecontrolprofile
PRODUCTS = {
    "admincenter": "Microsoft 365 admin center",
    "appg": "App governance",
    "azure": "Microsoft Azure",
    "azure atp": "Microsoft Defender for Identity",
    "azuread": "Microsoft Entra ID",
    "exo": "Exchange Online",
    "forms": "Microsoft Forms",
    "intune": "Microsoft Intune",
    "ip": "Microsoft Purview Information Protection",
    "mcas": "Microsoft Defender for Cloud Apps",
    "mdatp": "Microsoft Defender for Endpoint",
    "mdo": "Microsoft Defender for Office 365",
    "mip": "Microsoft Purview Information Protection",
    "ms teams": "Microsoft Teams",
    "od4b": "OneDrive for Business",
    "sfb": "Skype for Business",
    "spo": "SharePoint Online",
    "sway": "Microsoft Sway",
    "mda_atlassian": "Atlassian",
    "mda_citrixsf": "Citrix ShareFile",
    "mda_docusign": "Docusign",
    "mda_dropbox": "Dropbox",
    "mda_github": "GitHub",
    "mda_google": "Google Workspace",
    "mda_netdocuments": "NetDocuments",
    "mda_okta": "Okta",
    "mda_sf": "Salesforce",
    # The scored product, which filter and search keep apart from the ticket system: docs/facts/microsoft-graph.md#edge-56
    "mda_snow": "ServiceNow (scored app)",
    "mda_workplace": "Workplace from Meta",
    "mda_zendesk": "Zendesk",
    "mda_zoom": "Zoom",
}
# Teams refreshes once a month and Entra once a week; work on any other product shows within 24 to 48 hours.
# docs/facts/microsoft-graph.md#1-8-freshness-change-history-outlook
DELAYS = {"ms teams": timedelta(days=31), "azuread": timedelta(days=7)}
# Where a lower case letter meets an upper case one, as in the documented "accountBreach".
WORD_BOUNDARY = re.compile(r"(?<=[a-z])(?=[A-Z])")


def category_of(raw: str) -> Category | None:
    """None for a name that is none of the five."""
    return CATEGORIES.get(raw.strip().lower())


def level_of(raw: str) -> str:
    """One of the keys of LEVEL_NAMES."""
    return LEVELS.get(raw.strip().lower(), "unknown")


def tier_of(raw: str) -> str:
    """An unknown tier keeps its spelling."""
    return TIERS.get(raw.strip().lower(), raw.strip())


def threats_of(raw: list[str]) -> list[str]:
    """Threats in one spelling each: "Account Breach", "accountBreach" and "Account breach" are one."""
    spelled = (" ".join(WORD_BOUNDARY.sub(" ", threat).split()) for threat in raw)
    return list(dict.fromkeys(threat[:1].upper() + threat[1:].lower() for threat in spelled if threat))


def product_of(service: str) -> str:
    """The product's name; an unknown service keeps its short name, and an empty one stays empty."""
    return PRODUCTS.get(service.strip().lower(), service.strip())


def usual_delay(service: str) -> timedelta:
    """How long Microsoft usually needs until finished work shows in the score."""
    return DELAYS.get(service.strip().lower(), timedelta(hours=48))


def action_type_name(raw: str) -> Message | str:
    """What kind of work an action is; an unknown type keeps Microsoft's word."""
    return ACTION_TYPES.get(raw.strip().lower(), raw.strip())


def is_set_by_microsoft(raw: str) -> bool:
    """Whether Microsoft says that its own defaults earn the points."""
    return raw.strip().lower() in PROVIDER_TYPES
