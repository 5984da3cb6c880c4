"""The running tenant: its score day by day, what people wrote, quirks, trouble ordered, and who called. Answers no request."""

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

NOTHING_DONE = {"assignedTo": None, "comment": None, "state": "Default", "updatedBy": None, "updatedDateTime": None}
# What the made-up tenant's people have decided so far.
DECIDED = {
    "IntegratedApps": "Ignored",
    "exo_dkim": "ThirdParty",
    "mdo_safedocuments": "Reviewed",
    "exo_mailtips": "ignored",
}


@cache
def usual_days(tenant_id: str, newest: date) -> list[dict[str, Any]]:
    """The snapshots as they are made up once; nobody may change them."""
    return snapshots(tenant_id, newest)


@dataclass
class Tenant:
    """The data served, and the trouble ordered: `faults` for any call, by name and count; `orders` for certain ones."""

    tenant_id: str
    newest: date
    follows_calendar: bool = False
    faults: dict[str, int] = field(default_factory=dict)
    orders: list[GraphFault] = field(default_factory=list)
    edge_cases: EdgeCases = field(default_factory=EdgeCases)
    journal: RequestJournal = field(default_factory=RequestJournal)
    updates: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unseen: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pages: dict[str, int] = field(default_factory=dict)
    running: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        self._first_day = self.newest
        # What is shown is worked out once for the same quirks and the same days.
        self._version = 0
        self._shown: list[dict[str, Any]] | None = None
        self._shown_as: tuple[EdgeCases, int] | None = None
        self._build()

    def _build(self) -> None:
        newest, *older = usual_days(self.tenant_id, self.newest)
        # Only the newest day is ever changed; the others need no copies.
        self._scores = [deepcopy(newest), *older]
        self._version += 1
        self.updates.clear()
        for control_id, state in DECIDED.items():
            decided = {
                "state": state,
                "updatedBy": "alex@contoso.example",
                "updatedDateTime": "2026-10-01T08:30:00.1234567Z",
            }
            self.updates[control_id] = [{**NOTHING_DONE, **decided}]

    def reset(self) -> None:
        """As new."""
        self.newest = self._first_day
        self.faults.clear()
        self.orders.clear()
        self.edge_cases.reset()
        self.journal.clear()
        self.unseen.clear()
        self.pages.clear()
        self.peak = 0
        self._build()

    @property
    def page_size(self) -> int:
        """Items on a page."""
        return self.edge_cases.page_size

    @page_size.setter
    def page_size(self, size: int) -> None:
        self.edge_cases.page_size = size

    @property
    def scores(self) -> list[dict[str, Any]]:
        """The snapshots, newest first. A tenant that follows the calendar has yesterday's."""
        while self.follows_calendar and self.newest < yesterday():
            self.next_day()
        now = (self.edge_cases, self._version)
        if self._shown is None or self._shown_as != now:
            self._shown = malformed_scores(self._scores, self.edge_cases)
            self._shown_as = (replace(self.edge_cases), self._version)
        return self._shown

    @scores.setter
    def scores(self, snapshots: list[dict[str, Any]]) -> None:
        """Other snapshots in their place."""
        self._scores = snapshots
        self._version += 1

    @property
    def profiles(self) -> list[dict[str, Any]]:
        """The whole catalogue."""
        if not self.edge_cases.writes_hidden:
            for control_id, written in self.unseen.items():
                self.updates.setdefault(control_id, []).extend(written)
            self.unseen.clear()
        usual = [
            profile(control, self.tenant_id, rank, self.updates.get(control.id, [NOTHING_DONE]))
            for rank, control in enumerate(controls(), 1)
        ]
        return malformed_profiles(usual, self.edge_cases)

    def next_day(self) -> None:
        """One more day, on which nothing changed; the oldest is forgotten, as Graph does after ninety."""
        self.newest += timedelta(days=1)
        today = deepcopy(self._scores[0])
        today["id"] = f"{self.tenant_id}_{self.newest.isoformat()}"
        today["createdDateTime"] = f"{self.newest.isoformat()}T00:00:00Z"
        self._scores = [today, *self._scores][: DAYS + 1]
        self._version += 1

    def set_points(self, control_id: str, points: float) -> None:
        """The newest day's points of one control. Raises ValueError for one that is not scored."""
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
        """A state change; shown at once, or once writes are no longer hidden."""
        if self.edge_cases.reviewed_lost and update["state"] == "Reviewed":
            update = {**update, "state": "Default"}
        kept = self.unseen if self.edge_cases.writes_hidden else self.updates
        kept.setdefault(control_id, []).append(update)

    def strikes(self, name: str, what: str = "", page: int = 1, method: str = "GET") -> GraphFault | None:
        """The fault of this name that is due for this call, counted down."""
        left = self.faults.get(name, 0)
        if left > 0:
            self.faults[name] = left - 1
            return GraphFault(name)
        for fault in self.orders:
            if fault.fits(name, what, page, method):
                fault.times -= 1
                if fault.times <= 0:
                    self.orders.remove(fault)
                return fault
        return None


def yesterday() -> date:
    """The newest day Graph has: snapshots are made after midnight."""
    return datetime.now(UTC).date() - timedelta(days=1)
