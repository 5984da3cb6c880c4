"""State of the running Graph tenant: snapshots, state updates, edge cases, faults and request journal. Sends nothing itself."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from sandbox.graph_faults import GraphFault
from sandbox.request_journal import RequestJournal
from sandbox.tenant.control_catalog import controls, profile
from sandbox.tenant.edge_cases import EdgeCases
from sandbox.tenant.malformed import malformed_profiles, malformed_scores
from sandbox.tenant.snapshots import DAYS, snapshots

DEFAULT_UPDATE = {"assignedTo": None, "comment": None, "state": "Default", "updatedBy": None, "updatedDateTime": None}
# State updates that exist from the start. One is in lower case: docs/facts/microsoft-graph.md#edge-42
INITIAL_STATES = {
    "IntegratedApps": "Ignored",
    "exo_dkim": "ThirdParty",
    "mdo_safedocuments": "Reviewed",
    "exo_mailtips": "ignored",
}


@cache
def cached_snapshots(tenant_id: str, newest: date) -> list[dict[str, Any]]:
    """Return the generated snapshots. The result is cached and shared: callers must not change it."""
    return snapshots(tenant_id, newest)


@dataclass
class Tenant:
    """The data served and the faults ordered: `faults` counts by name for any call, `orders` holds those for certain calls."""

    tenant_id: str
    newest: date
    follows_calendar: bool = False
    faults: dict[str, int] = field(default_factory=dict)
    orders: list[GraphFault] = field(default_factory=list)
    edge_cases: EdgeCases = field(default_factory=EdgeCases)
    journal: RequestJournal = field(default_factory=RequestJournal)
    updates: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    hidden_updates: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pages: dict[str, int] = field(default_factory=dict)
    running: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        self._first_day = self.newest
        # The served snapshots are computed once for the same edge cases and the same data.
        self._version = 0
        self._shown: list[dict[str, Any]] | None = None
        self._shown_as: tuple[EdgeCases, int] | None = None
        self._build()

    def _build(self) -> None:
        newest, *older = cached_snapshots(self.tenant_id, self.newest)
        # Only the newest day is ever changed, so only it is copied.
        self._scores = [deepcopy(newest), *older]
        self._version += 1
        self.updates.clear()
        for control_id, state in INITIAL_STATES.items():
            initial = {
                "state": state,
                "updatedBy": "alex@contoso.example",
                "updatedDateTime": "2026-10-01T08:30:00.1234567Z",
            }
            self.updates[control_id] = [{**DEFAULT_UPDATE, **initial}]

    def reset(self) -> None:
        self.newest = self._first_day
        self.faults.clear()
        self.orders.clear()
        self.edge_cases.reset()
        self.journal.clear()
        self.hidden_updates.clear()
        self.pages.clear()
        self.peak = 0
        self._build()

    @property
    def page_size(self) -> int:
        return self.edge_cases.page_size

    @page_size.setter
    def page_size(self, size: int) -> None:
        self.edge_cases.page_size = size

    @property
    def scores(self) -> list[dict[str, Any]]:
        """The snapshots, newest first. A tenant that follows the calendar always has yesterday's."""
        while self.follows_calendar and self.newest < yesterday():
            self.next_day()
        now = (self.edge_cases, self._version)
        if self._shown is None or self._shown_as != now:
            self._shown = malformed_scores(self._scores, self.edge_cases)
            self._shown_as = (replace(self.edge_cases), self._version)
        return self._shown

    @scores.setter
    def scores(self, snapshots: list[dict[str, Any]]) -> None:
        self._scores = snapshots
        self._version += 1

    @property
    def profiles(self) -> list[dict[str, Any]]:
        """Every control profile, with its state updates."""
        if not self.edge_cases.writes_hidden:
            for control_id, written in self.hidden_updates.items():
                self.updates.setdefault(control_id, []).extend(written)
            self.hidden_updates.clear()
        wellformed = [
            profile(control, self.tenant_id, rank, self.updates.get(control.id, [DEFAULT_UPDATE]))
            for rank, control in enumerate(controls(), 1)
        ]
        return malformed_profiles(wellformed, self.edge_cases)

    def next_day(self) -> None:
        """Append a day without changes. Like Graph, keep only the newest ninety days."""
        # See docs/facts/microsoft-graph.md#1-8-freshness-change-history-outlook
        self.newest += timedelta(days=1)
        today = deepcopy(self._scores[0])
        today["id"] = f"{self.tenant_id}_{self.newest.isoformat()}"
        today["createdDateTime"] = f"{self.newest.isoformat()}T00:00:00Z"
        self._scores = [today, *self._scores][: DAYS + 1]
        self._version += 1

    def set_points(self, control_id: str, points: float) -> None:
        """Set one control's points on the newest day. Raises ValueError when it is not scored."""
        newest = self._scores[0]
        entry = next((one for one in newest["controlScores"] if one["controlName"] == control_id), None)
        if entry is None:
            raise ValueError(f"{control_id} is not among the newest scores")
        most = next((control.max_score for control in controls() if control.id == control_id), 2.0)
        self._version += 1
        entry["score"] = points
        entry["scoreInPercentage"] = round(points / most * 100, 2)
        newest["currentScore"] = round(sum(float(one["score"]) for one in newest["controlScores"]), 2)

    def write(self, control_id: str, update: dict[str, Any]) -> None:
        """Store a state update; with `writes_hidden` it is served only after the switch is off."""
        # See docs/facts/microsoft-graph.md#edge-46
        if self.edge_cases.reviewed_lost and update["state"] == "Reviewed":
            update = {**update, "state": "Default"}
        kept = self.hidden_updates if self.edge_cases.writes_hidden else self.updates
        kept.setdefault(control_id, []).append(update)

    def take_fault(self, name: str, what: str = "", page: int = 1, method: str = "GET") -> GraphFault | None:
        """Return the fault of this name that applies to this call, counted down, or None."""
        left = self.faults.get(name, 0)
        if left > 0:
            self.faults[name] = left - 1
            return GraphFault(name)
        for fault in self.orders:
            if fault.matches(name, what, page, method):
                fault.times -= 1
                if fault.times <= 0:
                    self.orders.remove(fault)
                return fault
        return None


def yesterday() -> date:
    """Return the newest day Graph can have: a snapshot is made after its day has ended."""
    return datetime.now(UTC).date() - timedelta(days=1)
