"""Translates Graph's spellings into our words: categories, levels, tiers, threats, products. Pure tables."""

from __future__ import annotations

import re
from datetime import timedelta

from app.core.messages import T
from app.features.secure_score.actions.action import Category

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
LEVEL_NAMES = {"low": T("Low"), "medium": T("Medium"), "high": T("High"), "unknown": T("Unknown")}
LEVELS = {"low": "low", "medium": "medium", "moderate": "medium", "high": "high"}
TIERS = {"core": "Core", "defense in depth": "Defense in depth", "advanced": "Advanced"}
# Graph's short names of services, as of the captures of 2024 to 2026, and the names people know.
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
    # The scored product, not the ticket system: the two must not be taken for each other.
    "mda_snow": "ServiceNow (scored app)",
    "mda_workplace": "Workplace from Meta",
    "mda_zendesk": "Zendesk",
    "mda_zoom": "Zoom",
}
# Recommendations of these products refresh on a schedule of their own; all others within 24 to 48 hours.
DELAYS = {"ms teams": timedelta(days=31), "azuread": timedelta(days=7)}
HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def category_of(raw: str) -> Category | None:
    """One of the five, or None for a name we do not know."""
    return CATEGORIES.get(raw.strip().lower())


def level_of(raw: str) -> str:
    """low, medium, high or unknown."""
    return LEVELS.get(raw.strip().lower(), "unknown")


def tier_of(raw: str) -> str:
    """The tier in one spelling; one we do not know stays as it is."""
    return TIERS.get(raw.strip().lower(), raw.strip())


def threats_of(raw: list[str]) -> list[str]:
    """Threats in one spelling each: "Account Breach", "accountBreach" and "Account breach" are one."""
    spelled = (" ".join(HUMP.sub(" ", threat).split()) for threat in raw)
    return list(dict.fromkeys(threat[:1].upper() + threat[1:].lower() for threat in spelled if threat))


def product_of(service: str) -> str:
    """The name people know; a service we do not know keeps its own, and an empty one stays empty."""
    return PRODUCTS.get(service.strip().lower(), service.strip())


def usual_delay(service: str) -> timedelta:
    """How long Microsoft usually needs until finished work shows in the score (facts 1.8)."""
    return DELAYS.get(service.strip().lower(), timedelta(hours=48))
