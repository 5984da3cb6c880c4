"""Generate ninety consistent days of Secure Score: gains, one regression, one license change, one missing day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sandbox.tenant.control_catalog import VENDOR, Control, controls, stable_random

# Graph keeps 90 days: docs/facts/microsoft-graph.md#1-8-freshness-change-history-outlook
DAYS = 90
# Days before the newest snapshot.
# A day without a snapshot, a day on which licenses were added, and a day on which one control lost its points:
# docs/facts/microsoft-graph.md#edge-47 and #edge-48
MISSING_DAY = 33
LICENSE_DAY = 45
REGRESSION_DAY = 12
REGRESSED = "BlockLegacyAuthentication"
LICENSED_LATER = ("MDATP", "Intune")
# Scored, but not in the catalog, as in real tenants: docs/facts/microsoft-graph.md#edge-24
WITHOUT_PROFILE = {
    "aad_legacy_consent_v0": "Identity",
    "mdo_retired_policy": "Apps",
    "scid_9001": "Device",
    "spo_legacy_link": "Data",
}
SERVICES_BEFORE = ["HasAADP1", "HasEOP", "HasEXOP2", "HasSPOP2", "HasMDOP2", "HasOCAS", "HasAATP", "HasAIPP1"]
SERVICES_AFTER = ["HasAADP2", *SERVICES_BEFORE[1:], "HasMDEP2", "HasM365E5"]
FIXED = {
    "AdminMFAV2": 0.4, "OneAdmin": 1.0, "mdo_safeattachments": 0.0, "mdo_autoforwardingmode": 0.0,
    "PWAgePolicyNew": 1.0, "SigninRiskPolicy": 0.0, "scid_2021": 0.3,
}  # fmt: skip


@dataclass(frozen=True)
class ControlTrend:
    """A control's share of its points (0 to 1) before and after the day it improved."""

    control: Control
    before: float
    after: float
    improved: int  # Days before the newest snapshot.

    def share(self, days_ago: int) -> float:
        """Return the share of the maximum, 0 to 1."""
        if self.control.id == REGRESSED:
            return 0.0 if days_ago <= REGRESSION_DAY else 1.0
        return self.after if days_ago <= self.improved else self.before


def is_scored(control: Control) -> bool:
    """Return whether the control applies to this tenant; about two thirds do (docs/facts/microsoft-graph.md#edge-25)."""
    return control.id in FIXED or control.id == REGRESSED or stable_random(f"scored {control.id}") < 0.66


def control_trends() -> list[ControlTrend]:
    found = []
    for control in controls():
        if not is_scored(control):
            continue
        chance = stable_random(f"course {control.id}")
        after = FIXED.get(control.id, 1.0 if chance < 0.45 else round(chance * 0.9, 2) if chance < 0.65 else 0.0)
        early = stable_random(f"early {control.id}") < 0.6 or control.id in FIXED
        improved = DAYS + 1 if early else int(stable_random(f"day {control.id}") * DAYS)
        found.append(ControlTrend(control, 0.0, after, improved))
    return found


def snapshots(tenant_id: str, newest: date) -> list[dict[str, Any]]:
    """Return the days as `secureScore` resources, newest first."""
    trends = control_trends()
    return [
        snapshot(tenant_id, newest - timedelta(days=ago), ago, trends) for ago in range(DAYS + 1) if ago != MISSING_DAY
    ]


def snapshot(tenant_id: str, day: date, ago: int, trends: list[ControlTrend]) -> dict[str, Any]:
    """Return one day; the controls' points add up to `currentScore` exactly."""
    # https://learn.microsoft.com/graph/api/resources/securescore
    licensed = [s for s in trends if ago <= LICENSE_DAY or s.control.service not in LICENSED_LATER]
    scores = [control_score(trend, ago, day) for trend in licensed]
    scores += [score_without_profile(name, category, day) for name, category in WITHOUT_PROFILE.items()]
    current = round(sum(float(score["score"]) for score in scores), 2)
    maximum = round(sum(trend.control.max_score for trend in licensed) + 2 * len(WITHOUT_PROFILE), 2)
    return {
        "id": f"{tenant_id}_{day.isoformat()}",
        "azureTenantId": tenant_id,
        "activeUserCount": 17,
        "createdDateTime": datetime.combine(day, time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "currentScore": current,
        "enabledServices": SERVICES_AFTER if ago <= LICENSE_DAY else SERVICES_BEFORE,
        "licensedUserCount": 0,
        "maxScore": maximum,
        "averageComparativeScores": comparisons(),
        "controlScores": scores,
        "vendorInformation": VENDOR,
    }


def control_score(trend: ControlTrend, ago: int, day: date) -> dict[str, Any]:
    """Return one entry of `controlScores`; as in real data, optional members differ from control to control."""
    # See docs/facts/microsoft-graph.md#1-3-controlscores
    control, share = trend.control, trend.share(ago)
    points = round(control.max_score * share, 2)
    total = 40 + int(stable_random(f"total {control.id}") * 200)
    done = round(total * share)
    entry: dict[str, Any] = {
        "controlCategory": control.category,
        "controlName": control.id,
        "description": "" if control.id == "mdo_autoforwardingmode" else f"<p>{control.why}</p>\r\n\t",
        "score": points,
        "scoreInPercentage": round(share * 100, 2),
        "implementationStatus": status_text(control, done, total, share),
        "lastSynced": (datetime.combine(day, time(), UTC) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    chance = stable_random(f"members {control.id}")
    if chance < 0.25:
        entry["on"] = "true" if share == 1 else "false"
    elif chance < 0.9 and control.category != "Device":
        # What is done already; device controls have neither member: docs/facts/microsoft-graph.md#1-3-controlscores
        entry["count"] = str(done)
        if chance < 0.85:
            entry["total"] = str(total)
    return entry


def status_text(control: Control, done: int, total: int, share: float) -> str:
    """Return an `implementationStatus`: free text in several forms, which a client must not parse."""
    # See docs/facts/microsoft-graph.md#edge-35
    if control.service == "MDATP":
        return f"{total - done}/{total} exposed devices"
    if share == 1:
        return "" if stable_random(f"silent {control.id}") < 0.3 else "<p>This is set up as recommended.&nbsp;</p>"
    return f"<p>{done} of {total} accounts or objects are covered.&nbsp;</p>"


def score_without_profile(name: str, category: str, day: date) -> dict[str, Any]:
    """Return a `controlScores` entry whose control is not in the catalog."""
    return {
        "controlCategory": category,
        "controlName": name,
        "description": "",
        "score": 1.0,
        "scoreInPercentage": 50.0,
        "implementationStatus": "",
        "lastSynced": datetime.combine(day, time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def comparisons() -> list[dict[str, Any]]:
    """Return `averageComparativeScores`: percentages, seat ranges in PascalCase, no IndustryTypes entry."""
    # See docs/facts/microsoft-graph.md#1-2-securescore
    categories = {"apps": 44.1, "data": 38.7, "device": 51.9, "identity": 56.2, "infrastructure": 0}
    members: dict[str, Any] = {}
    for name, average in categories.items():
        members[f"{name}Score"] = average
        members[f"{name}ScoreMax"] = 100
    return [
        {"basis": "AllTenants", "averageScore": 46.43, **members},
        {
            "basis": "TotalSeats",
            "averageScore": 49.8,
            "SeatSizeRangeLowerValue": "0",
            "SeatSizeRangeUpperValue": "49",
            **members,
        },
    ]
