"""Apply the edge-case switches to snapshots and control profiles. Works on copies; the originals stay as they are."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sandbox.tenant.edge_cases import EdgeCases

Item = dict[str, Any]

OTHER_TENANT = str(UUID(int=0xD1FF))
NEW_CONTROL = "brand_new_control_v1"
UNUSUAL_IDS = (
    "Odd.With.Dots", "odd with blanks", "odd/with/slashes", "OddCase", "oddcase", "odd?with#signs&100%", "odd_ünïcode",
)  # fmt: skip
HOSTILE = "hostile_texts_v1"
HOSTILE_HTML = (
    "<p onclick='alert(1)'>Start <a href='javascript:alert(1)'>here</a>, or "
    '<a href="https://learn.microsoft.com/x">there</a>.</p><script>alert(1)</script>'
    "<img src=x onerror=alert(1)><iframe src='https://evil.example'></iframe><ul><li>never closed <b>bold"
    "<div style='position:fixed;inset:0'>over everything</div>&nbsp;&amp;&lt;done&gt;"
)
MOMENT = "%Y-%m-%dT%H:%M:%SZ"


def malformed_scores(snapshots: list[Item], edge_cases: EdgeCases) -> list[Item]:
    """Return the snapshots as the switches shape them, newest first."""
    if edge_cases.no_score_yet or not snapshots:
        return []
    served = snapshots[max(edge_cases.stale_days, 0) :]
    found = [_malformed_snapshot(deepcopy(one), edge_cases, is_newest=rank == 0) for rank, one in enumerate(served)]
    if edge_cases.double_day and found:
        found.insert(1, {**deepcopy(found[0]), "id": f"{found[0]['id']}_2"})
    return found


def _malformed_snapshot(snapshot: Item, edge_cases: EdgeCases, *, is_newest: bool) -> Item:
    entries: list[Item] = snapshot["controlScores"]
    if is_newest:
        _malformed_newest(snapshot, entries, edge_cases)
    entries += [_entry(name, "Identity", snapshot, 1.0) for name in UNUSUAL_IDS if edge_cases.odd_ids]
    entries += [_entry(_padded(n), "Device", snapshot, float(n % 6)) for n in range(edge_cases.padding)]
    if edge_cases.hostile_texts:
        entries.append(_entry(HOSTILE, "Account", snapshot, 1.0) | {"implementationStatus": HOSTILE_HTML})
    if edge_cases.above_max:
        entries[0]["score"] = 99.0
    snapshot["currentScore"] = round(sum(float(entry["score"]) for entry in entries), 2)
    for entry in entries:
        if entry["controlName"] in edge_cases.listed("not_scored"):
            entry |= {"score": 0.0, "scoreInPercentage": 0.0, "NotScored": "true"}
    for rank, entry in enumerate(entries):
        _malformed_entry(entry, edge_cases, rank, snapshot["createdDateTime"])
    _malformed_totals(snapshot, edge_cases)
    if is_newest and edge_cases.unreadable_total:
        snapshot["currentScore"] = str(snapshot["currentScore"]).replace(".", ",")
    return snapshot


def _malformed_newest(snapshot: Item, entries: list[Item], edge_cases: EdgeCases) -> None:
    """What happens to the newest day alone: controls that vanish, appear, are renamed or come without any points."""
    entries[:] = [entry for entry in entries if entry["controlName"] not in edge_cases.listed("vanished")]
    for entry in entries:
        if entry["controlName"] in edge_cases.listed("renamed"):
            entry["controlName"] = numbered(entry["controlName"])
        if edge_cases.all_zero:
            entry |= {"score": 0.0, "scoreInPercentage": 0.0}
    if edge_cases.appeared:
        entries.append(_entry(NEW_CONTROL, "Apps", snapshot, 0.0))


def numbered(control_id: str) -> str:
    """The id with the number of an app's instance before it, as in real data of 2026."""
    return f"11770.{control_id}"


def _malformed_entry(entry: Item, edge_cases: EdgeCases, rank: int, created: str) -> None:
    if edge_cases.extra_members:
        entry |= {"IsApplicable": True, "expiry": None, "aMemberOfTomorrow": {"deep": ["er"]}}
    if edge_cases.zero_totals and "total" in entry:
        entry["total"] = "0"
    if edge_cases.odd_times:
        day = datetime.fromisoformat(created)
        ahead, behind = day + timedelta(days=1), day - timedelta(days=50)
        entry["lastSynced"] = (f"{ahead:%Y-%m-%dT%H:%M:%S}.123456Z", f"{behind:{MOMENT}}", None)[rank % 3]
    if edge_cases.no_percentages:
        del entry["scoreInPercentage"]
    if edge_cases.numbers_as_text:
        for name in ("score", "scoreInPercentage"):
            if name in entry:
                entry[name] = str(float(entry[name]))
    if edge_cases.unknown_scores and rank % 5 == 4:
        entry["score"] = None if edge_cases.unknown_scores == "null" else "n/a"


def _malformed_totals(snapshot: Item, edge_cases: EdgeCases) -> None:
    if edge_cases.max_zero:
        snapshot["maxScore"] = 0
    if edge_cases.sum_differs:
        snapshot["currentScore"] = round(snapshot["currentScore"] + 3.5, 2)
    if edge_cases.numbers_as_text:
        snapshot["currentScore"], snapshot["maxScore"] = str(snapshot["currentScore"]), str(snapshot["maxScore"])
    if edge_cases.absurd_counts:
        snapshot |= {"activeUserCount": 2_000_000_000, "licensedUserCount": -1}
    if edge_cases.other_tenant:
        snapshot["id"] = snapshot["id"].replace(snapshot["azureTenantId"], OTHER_TENANT)
        snapshot["azureTenantId"] = OTHER_TENANT
    if edge_cases.extra_members:
        snapshot["aMemberOfTomorrow"] = [1, {"two": 3}]
        snapshot["vendorInformation"] = snapshot["vendorInformation"] | {"aMemberOfTomorrow": 1}
    if edge_cases.no_control_scores:
        del snapshot["controlScores"]
    compared = _malformed_comparisons(snapshot["averageComparativeScores"], edge_cases.comparisons)
    if compared is None:
        del snapshot["averageComparativeScores"]
    else:
        snapshot["averageComparativeScores"] = compared


def _malformed_comparisons(wellformed: list[Item], shape: str) -> list[Item] | None:
    """Return `averageComparativeScores` in one of its real shapes; None when the member is absent."""
    # See docs/facts/microsoft-graph.md#edge-18 and #1-2-securescore
    match shape:
        case "minus_one" | "minus_one_text":
            nothing: Any = -1 if shape == "minus_one" else "-1"
            kept = ("basis", "SeatSizeRangeLowerValue", "SeatSizeRangeUpperValue")
            return [{name: value if name in kept else nothing for name, value in one.items()} for one in wellformed]
        case "old":
            old = [
                {
                    "basis": one["basis"], "averageScore": 37.0, "deviceScore": "12.5", "dataScore": "3.2",
                    "identityScore": "17.1", "appsScore": "4.2",
                } | ({"seatSizeRangeLowerValue": "0", "seatSizeRangeUpperValue": "49"} if len(one) > 12 else {})
                for one in wellformed
            ]  # fmt: skip
            return [*old, {"basis": "IndustryTypes", "averageScore": 41.0, "categoryValue": "Manufacturing"}]
        case "reversed":
            return wellformed[::-1]
        case "bare":
            return [{"basis": one["basis"], "averageScore": one["averageScore"]} for one in wellformed]
        case "none":
            return []
        case "missing":
            return None
        case _:
            return wellformed


def malformed_profiles(profiles: list[Item], edge_cases: EdgeCases) -> list[Item]:
    """Return the control profiles as the switches shape them."""
    found = [deepcopy(one) for one in profiles if one["id"] not in edge_cases.listed("vanished")]
    pattern = profiles[0]
    if edge_cases.odd_ids:
        found += [_profile(pattern, name, f"Control called {name}") for name in UNUSUAL_IDS]
    if edge_cases.appeared:
        found.append(_profile(pattern, NEW_CONTROL, "A control of today"))
    found += [_profile(pattern, _padded(n), f"Padding {n}") for n in range(edge_cases.padding)]
    if edge_cases.hostile_texts:
        found.append(
            _profile(
                pattern, HOSTILE, "   <b>Title</b> with blanks, 😀 and עברית that goes on and on " + "x" * 90 + "  "
            )
            | {"remediation": HOSTILE_HTML, "remediationImpact": HOSTILE_HTML, "actionUrl": "javascript:alert(1)"}
            | {"controlCategory": "Account", "userImpact": "Unheard of", "tier": "=1+1", "threats": [HOSTILE_HTML[:40]]}
        )
    for one in found:
        if one["id"] in edge_cases.listed("not_scored"):
            one["maxScore"] = 0
        if one["id"] in edge_cases.listed("renamed"):
            one["id"] = numbered(one["id"])
    for rank, one in enumerate(found):
        _malformed_profile(one, edge_cases, rank)
    return found


def _malformed_profile(profile: Item, edge_cases: EdgeCases, rank: int) -> None:
    profile["deprecated"] = profile["deprecated"] or profile["id"] in edge_cases.listed("deprecated")
    if edge_cases.extra_members:
        profile |= {"aMemberOfTomorrow": {"a": 1}, "complianceInformation": [{"certificationName": "ISO", "new": 1}]}
    if edge_cases.numbers_as_text:
        profile["maxScore"] = str(profile["maxScore"])
    if edge_cases.max_zero and rank == 0:
        profile["maxScore"] = 0
    if edge_cases.other_tenant:
        profile["azureTenantId"] = OTHER_TENANT
    if edge_cases.odd_states:
        profile["controlStateUpdates"] = _unusual_state_updates()[rank % 6]


def _unusual_state_updates() -> list[list[Item] | None]:
    def update(state: str | None, moment: str | None) -> Item:
        return {
            "assignedTo": "",
            "comment": "",
            "state": state,
            "updatedBy": "a@contoso.example",
            "updatedDateTime": moment,
        }

    early, late = "2026-09-01T08:00:00Z", "2026-10-01T08:00:00.1234567Z"
    return [
        None,
        [],
        [update("ThirdParty", late), update("Ignored", early)],
        [update("AlternateMitigation", late)],
        [update("SomethingNew", late), update(None, None)],
        [update("thirdparty", late), update("Reviewed", late)],
    ]


def _entry(name: str, category: str, snapshot: Item, points: float) -> Item:
    return {
        "controlCategory": category, "controlName": name, "description": "", "score": points,
        "scoreInPercentage": 50.0, "implementationStatus": "", "lastSynced": snapshot["createdDateTime"],
    }  # fmt: skip


def _profile(pattern: Item, name: str, title: str) -> Item:
    return {**deepcopy(pattern), "id": name, "title": title, "maxScore": 5.0}


def _padded(number: int) -> str:
    return f"padding_{number:04d}"
