"""Made-up Graph answers, as messy as a real tenant's.

The edge cases are those of docs/facts/microsoft-graph.md#7-edge-cases-our-importer-and-ui-must-survive.
"""

from __future__ import annotations

import json
import tempfile
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from app.core.database import Database
from app.features.secure_score.sync.import_scores import ImportReport, import_from_files
from sandbox.tenant.tenant_data import Tenant

TENANT = "6f1c1b5a-0d3e-4c55-9a53-4d1f4e6f7a10"
DAY = date(2026, 11, 19)
VENDOR = {"provider": "SecureScore", "providerVersion": None, "subProvider": None, "vendor": "Microsoft"}
UNDECIDED = {"assignedTo": None, "comment": None, "state": "Default", "updatedBy": None, "updatedDateTime": None}
# A real tenant's answers, where the machine has them; never part of this repository.
REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL_TENANT = "12345678-1234-1234-1234-1234567890abcd"


def profile(control_id: str = "AdminMFAV2", **changes: Any) -> dict[str, Any]:
    """One control profile, with some members changed; the value `...` leaves a member out."""
    made: dict[str, Any] = {
        "id": control_id,
        "azureTenantId": TENANT,
        "actionType": "Config",
        "actionUrl": "https://entra.example/conditional-access",
        "controlCategory": "Identity",
        "title": f"Title of {control_id}",
        "deprecated": False,
        "implementationCost": "Low",
        "lastModifiedDateTime": None,
        "maxScore": 10,
        "rank": 10,
        "remediation": "<p>Open the <a href='https://entra.example'>admin center</a>.</p>",
        "remediationImpact": "None.",
        "service": "AzureAD",
        "threats": ["Account breach"],
        "tier": "Core",
        "userImpact": "Low",
        "complianceInformation": [],
        "controlStateUpdates": [dict(UNDECIDED)],
        "vendorInformation": VENDOR,
    } | changes
    return {name: value for name, value in made.items() if value is not ...}


def score(control_id: str = "AdminMFAV2", points: Any = 4, percent: Any = 40, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "controlCategory": "Identity",
        "controlName": control_id,
        "description": f"<p>Why {control_id} matters.</p>\r\n\t",
        "score": points,
        "scoreInPercentage": percent,
        "implementationStatus": "",
        "lastSynced": "2026-11-17T04:34:13Z",
    } | changes
    return {name: value for name, value in made.items() if value is not ...}


def snapshot(day: date = DAY, controls: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """The snapshot of one day; keyword arguments replace members."""
    scores = [score()] if controls is None else controls
    made: dict[str, Any] = {
        "id": f"{TENANT}_{day.isoformat()}",
        "azureTenantId": TENANT,
        "activeUserCount": 1,
        "createdDateTime": f"{day.isoformat()}T00:00:00Z",
        "currentScore": sum(_points(entry.get("score")) for entry in scores),
        "enabledServices": ["HasAADP1", "HasEXOP2"],
        "licensedUserCount": 0,
        "maxScore": 100,
        "averageComparativeScores": [
            {"basis": "AllTenants", "averageScore": 54.65},
            {
                "basis": "TotalSeats",
                "averageScore": 48.98,
                "SeatSizeRangeLowerValue": "1",
                "SeatSizeRangeUpperValue": "100",
            },
        ],
        "controlScores": scores,
        "vendorInformation": VENDOR,
    } | changes
    return {name: value for name, value in made.items() if value is not ...}


def _points(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and value < 1e9 else 0.0


def days_before(count: int, newest: date = DAY) -> date:
    """The day `count` days before the newest one."""
    return newest - timedelta(days=count)


def messy_profiles() -> list[dict[str, Any]]:
    """Two hundred profiles with the mess of real ones: ids, levels, threats, titles, HTML."""
    made = [
        profile(
            f"{('aad', 'mdo', 'MDA_SF', 'AATP', 'exo')[number % 5]}_Control{number}",
            service=("AzureAD", "MDO", "MDA_SF", "Azure ATP", "MDA_SNOW")[number % 5],
            controlCategory=("Apps", "Identity", "Data", "Apps")[number % 4],
            implementationCost=("Unknown", "low", "Medium", "Low", "high", "Moderate")[number % 6],
            userImpact=(None, "Unknown", "moderate", "Medium", "High")[number % 5],
            threats=[[], ["Account breach"], ["Account Breach", "Password Cracking"]][number % 3],
            tier=("Core", "Defense In Depth", "Advanced")[number % 3],
            rank=10 if number % 3 else number,
            maxScore=number % 10 + 1,
            title="Enable multi-factor authentication (MFA)" if number % 50 == 0 else f"Made-up control {number} ",
        )
        for number in range(196)
    ]
    made += [
        profile("11770.MDA_Google_EnableTwoFactorAuth", service="MDA_Google", controlCategory="Apps", remediation=""),
        profile("MDA_Google_EnableTwoFactorAuth", service="MDA_Google", controlCategory="Apps"),
        profile("meeting_restrictanonymousjoin_v1", title="名前 \u0027quoted\u0027 " + "long " * 30),
        profile("with blank/and slash.and dot", userImpact=None, actionUrl="not a link"),
    ]
    return made


def messy_scores() -> dict[str, Any]:
    """One day: scores with and without profiles, with missing members."""
    scores = [score(f"aad_Control{number}", number % 3, 100 * (number % 3) / 2) for number in range(0, 195, 5)]
    scores += [
        score("mdo_autoforwardingmode", 1, 100, description="", count="1", total="1", controlCategory="Apps"),
        score("OneAdmin", 0, 0, count="1", implementationStatus="You currently have 1 global admins."),
        score("spo_idle_session_timeout", 0, 0, on="false", lastSynced="2026-11-21T17:12:14Z", controlCategory="Apps"),
        score("SelfServicePasswordReset", 1, 100, count="0", total="0"),
        score("11770.MDA_Google_EnableTwoFactorAuth", 2, 20, controlCategory="Apps"),
    ]
    return snapshot(controls=scores)


def write_messy_files(folder: Path) -> tuple[Path, Path]:
    """Files as Graph's answers were saved: scores complete, profiles with a link to a next page."""
    scores, profiles = folder / "scores.json", folder / "profiles.json"
    scores.write_text(json.dumps({"@odata.context": "c", "value": [messy_scores()]}), encoding="utf-8")
    link = "https://graph.microsoft.com/v1.0/security/secureScoreControlProfiles?$skiptoken=0"
    content = {"@odata.context": "c", "@odata.nextLink": link, "value": messy_profiles()}
    profiles.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return scores, profiles


def keep_days(tenant: Tenant, days: int) -> None:
    """Make the sandbox forget all but its newest days, until it is reset."""
    tenant._scores = tenant._scores[:days]
    tenant._version += 1


async def keep(
    database: Database,
    *,
    snapshots: list[dict[str, Any]] | None = None,
    profiles: list[dict[str, Any]] | None = None,
    tenant_id: str = TENANT,
) -> ImportReport:
    """Import these items as if from files; returns the report."""
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Path | None] = {"scores": None, "profiles": None}
        for name, items in (("scores", snapshots), ("profiles", profiles)):
            if items is not None:
                path = Path(folder) / f"{name}.json"
                path.write_text(json.dumps({"value": items}), encoding="utf-8")
                files[name] = path
        config: Any = SimpleNamespace(shown_tenant_id=tenant_id, tenant_id=tenant_id)
        return await import_from_files(database, config, scores=files["scores"], profiles=files["profiles"])


async def keep_servicenow_as_a_product(database: Database, tenant_id: str) -> None:
    """Two actions, of which one is about ServiceNow as an app whose settings Microsoft scores."""
    await keep(
        database,
        snapshots=[snapshot(controls=[score("MDA_SNOW_Mfa"), score("exo_dkim")], azureTenantId=tenant_id)],
        profiles=[
            profile("MDA_SNOW_Mfa", service="MDA_SNOW", title="Ensure MFA", azureTenantId=tenant_id),
            profile("exo_dkim", service="EXO", title="Sign mail", azureTenantId=tenant_id),
        ],
        tenant_id=tenant_id,
    )
