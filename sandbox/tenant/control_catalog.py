"""Read the tenant's controls and return them as Graph control profiles. Deterministic; the texts are in `controls/*.psv`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "controls"
CATEGORIES = {"identity": "Identity", "data": "Data", "apps": "Apps", "devices": "Device"}
# Graph spells the same threat in different cases: docs/facts/microsoft-graph.md#1-4-securescorecontrolprofile
THREATS = {
    "breach": ("Account breach", "Account Breach"),
    "cracking": ("Password Cracking", "Password cracking"),
    "elevation": ("Elevation of privilege", "Elevation of privilege"),
    "insider": ("Malicious insider", "Malicious Insider"),
    "spillage": ("Data spillage", "Data Spillage"),
    "exfiltration": ("Data exfiltration", "Data exfiltration"),
    "malware": ("Malware", "Malware"),
}
ADMIN_PAGES = {
    "AzureAD": "https://entra.microsoft.com/#view/Microsoft_AAD_IAM/ConditionalAccessBlade",
    "Azure ATP": "https://security.microsoft.com/identities/settings",
    "MIP": "https://purview.microsoft.com/",
    "SPO": "https://admin.microsoft.com/sharepoint?page=sharing",
    "MDO": "https://security.microsoft.com/threatpolicy",
    "EXO": "https://admin.exchange.microsoft.com/",
    "MDATP": "https://security.microsoft.com/security-recommendations",
    "Intune": "https://intune.microsoft.com/",
    "Azure": "https://portal.azure.com/",
}
DEFAULT_PAGE = "https://security.microsoft.com/cloudapps/settings"
# What people notice of a control, by category and impact. "Low" is the catalog's bare "None.".
NOTICED = {
    (
        "Identity",
        "Moderate",
    ): "<p>Some people are asked for a second factor, or to sign in again. Tell them a day before.</p>",
    ("Identity", "High"): "<p>Older mail clients and apps stop signing in. Find out who uses them first.</p>",
    (
        "Apps",
        "Moderate",
    ): "<p>Some messages, links and files open with a short delay, or are held back for a check.</p>",
    ("Apps", "High"): "<p>Mail that was delivered before can be held back. Name a person who releases it.</p>",
    ("Data", "Moderate"): "<p>Some links and files can no longer be shared outside the organization.</p>",
    ("Data", "High"): "<p>Existing links stop working, and documents ask for a label before they are saved.</p>",
    ("Device", "Moderate"): "<p>Devices restart once, and some settings can no longer be changed by hand.</p>",
    ("Device", "High"): "<p>Programs that are not allowed stop starting. Begin with a small group of devices.</p>",
}
NOTICED_OTHERWISE = "<p>Administrators notice it; other people see no difference.</p>"
VENDOR = {"provider": "SecureScore", "providerVersion": None, "subProvider": None, "vendor": "Microsoft"}


def stable_random(text: str) -> float:
    """Return a number from 0 to 1 derived from the text: random-looking, but the same in every run."""
    return int(sha256(text.encode()).hexdigest()[:12], 16) / 16**12


@dataclass(frozen=True)
class Control:
    """One line of a `.psv` file."""

    id: str
    title: str
    category: str
    service: str
    max_score: float
    impact: str
    cost: str
    threats: tuple[str, ...]
    why: str
    steps: tuple[str, ...]


@cache
def controls() -> tuple[Control, ...]:
    found = []
    for name, category in CATEGORIES.items():
        for line in (FOLDER / f"{name}.psv").read_text(encoding="utf-8").splitlines():
            if not line.strip():
                continue
            ident, title, service, points, impact, cost, threats, why, steps = (
                part.strip() for part in line.split(" | ")
            )
            kind = "Infrastructure" if ident.startswith("infra_") else category
            found.append(
                Control(
                    ident, title, kind, service, float(points), impact, cost,
                    tuple(threats.split(",")), why, tuple(step.strip() for step in steps.split(" > ")),
                )
            )  # fmt: skip
    return tuple(found)


def profile(control: Control, tenant_id: str, rank: int, updates: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the control as a `secureScoreControlProfile` resource."""
    # Case, spelling and gaps vary as in real tenants: docs/facts/microsoft-graph.md#edge-36, #edge-38, #edge-39, #edge-40
    # https://learn.microsoft.com/graph/api/resources/securescorecontrolprofile
    chance = stable_random(control.id)
    impact = {0: None, 1: "Unknown", 2: control.impact.lower()}.get(int(chance * 10), control.impact)
    steps = "".join(f"<li>{escape(step, quote=False)}.</li>" for step in control.steps)
    page = ADMIN_PAGES.get(control.service, DEFAULT_PAGE)
    quote = "'" if chance > 0.5 else '"'
    remediation = f"<p>Work through these steps:</p><ol>{steps}</ol>"
    remediation += f"<p>Start at the <a href={quote}{page}{quote} target=_blank>admin page</a>.</p>"
    return {
        "id": control.id,
        "azureTenantId": tenant_id,
        "actionType": "Config",
        "actionUrl": page,
        "controlCategory": control.category,
        # A few real titles end in a space: docs/facts/microsoft-graph.md#edge-40
        "title": control.title + (" " if chance > 0.95 else ""),
        "deprecated": False,
        "implementationCost": {"Moderate": "Medium"}.get(control.cost, control.cost) if chance < 0.6 else "Unknown",
        "lastModifiedDateTime": None,
        "maxScore": control.max_score,
        # Most controls of a real tenant share one rank: docs/facts/microsoft-graph.md#edge-39
        "rank": rank if rank < 40 else 10,
        "remediation": "" if control.id == "meeting_labels_v1" else remediation,
        "remediationImpact": "None."
        if control.impact == "Low"
        else NOTICED.get((control.category, control.impact), NOTICED_OTHERWISE),
        "service": control.service,
        "threats": [] if chance > 0.8 else [THREATS[threat][int(chance * 100) % 7 == 0] for threat in control.threats],
        "tier": ("Core", "Defense In Depth", "Advanced")[int(chance * 3)],
        "userImpact": impact,
        "complianceInformation": [],
        "controlStateUpdates": updates,
        "vendorInformation": VENDOR,
    }
