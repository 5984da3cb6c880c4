"""The columns of the actions list and of its export: one entry per column, from which everything else derives. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from app.core.messages import Message, T
from app.core.rounding import round_half_up
from app.features.secure_score.actions.action_rows import ActionLine
from app.features.secure_score.actions.action_status import Status
from app.features.secure_score.html_text import plain_text
from app.features.secure_score.vocabulary import LEVEL_NAMES


class Cell(StrEnum):
    """What a cell looks like. Each value is the name of a macro in `templates/actions/_cell.html`."""

    TEXT = "text"
    COUNT = "count"
    NUMBER = "number"
    DAY = "day"
    YES_NO = "yes_no"
    ACTION = "action"
    IMPACT = "impact"
    POINTS = "points"
    STATUS = "status"
    REGRESSED = "regressed"
    TAGS = "tags"
    TICKETS = "tickets"


# Cells whose figures are compared with those above and below, and therefore stand at the right edge.
NUMERIC_CELLS = frozenset({Cell.COUNT, Cell.NUMBER, Cell.IMPACT, Cell.POINTS})
UNBROKEN_CELLS = frozenset({Cell.DAY, Cell.POINTS})


@dataclass(frozen=True)
class ExportRow:
    """One action with what only the export needs. The two texts are Graph's HTML."""

    line: ActionLine
    ticket_numbers: tuple[str, ...] = ()
    description: str = ""
    remediation: str = ""


SortKey = Callable[[ActionLine], float | str | None]


@dataclass(frozen=True)
class Column:
    """One column. `key` names it in the address and never changes, because bookmarks hold it.

    `cell` is None for a column of the export alone, `export` for one of the list alone. `value` is what a cell of a
    general kind (text, count, number, day, yes or no) shows. `sort_key` is None where the list cannot be sorted by the column;
    a key of None sorts last in both directions. `is_permanent` is for the one column that the list is never without.
    """

    key: str
    heading: Message
    cell: Cell | None = None
    value: Callable[[ActionLine], object] | None = None
    sort_key: SortKey | None = None
    largest_first: bool = False
    shown_first: bool = True
    is_permanent: bool = False
    export: Callable[[ExportRow], str] | None = None
    export_heading: Message | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether cells and heading are aligned to the right."""
        return self.cell in NUMERIC_CELLS

    @property
    def is_unbroken(self) -> bool:
        """Whether a cell keeps to one line."""
        return self.cell in UNBROKEN_CELLS

    def show(self, line: ActionLine) -> object:
        """The value for a cell of a general kind. Raises TypeError for a column that has none."""
        if self.value is None:
            raise TypeError(f"column {self.key} has no value to show")
        return self.value(line)


def number_text(value: float | None) -> str:
    """At most two decimals with a point, which every spreadsheet can be told to read; empty when unknown."""
    return "" if value is None else f"{round_half_up(value, 2):f}".rstrip("0").rstrip(".")


def points_text(points: float | None, max_points: float | None) -> str:
    """Points as the portal writes them, "4 / 10"; empty when both are unknown."""
    if points is None and max_points is None:
        return ""
    # With ordinary spaces, or with none as in the portal, a spreadsheet takes it for the fourth of October.
    return f"{number_text(points) or '–'}\u00a0/\u00a0{number_text(max_points) or '–'}"


def day_text(value: date | datetime | None) -> str:
    """ISO 8601; empty when unknown."""
    return "" if value is None else value.strftime("%Y-%m-%d")


def day_order(value: date | datetime | None) -> float | None:
    """Days since the year 1, to sort by."""
    return None if value is None else float(value.toordinal())


# In the order of the table, which is also that of the export. Names are the portal's as far as they are known:
# docs/facts/microsoft-graph.md#3-1-pages-and-tabs. People ask for what its export lacks, so ours has the points possible,
# the plan, tickets and texts as well: docs/facts/microsoft-graph.md#5-what-users-ask-for-or-complain-about
COLUMNS = (
    Column(
        "rank",
        T("Rank"),
        Cell.COUNT,
        value=lambda line: line.rank,
        sort_key=lambda line: line.rank,
        export=lambda row: "" if row.line.rank is None else str(row.line.rank),
    ),
    Column(
        "action",
        T("Recommended action"),
        Cell.ACTION,
        sort_key=lambda line: line.title.casefold(),
        is_permanent=True,
        export=lambda row: row.line.title,
    ),
    Column(
        "impact",
        T("Score impact"),
        Cell.IMPACT,
        sort_key=lambda line: line.score_impact,
        largest_first=True,
        export=lambda row: "" if row.line.score_impact is None else f"+{number_text(row.line.score_impact)}%",
    ),
    Column(
        "points",
        T("Points achieved"),
        Cell.POINTS,
        sort_key=lambda line: line.points,
        largest_first=True,
        export=lambda row: points_text(row.line.points, row.line.max_points),
    ),
    Column(
        "opportunity",
        T("Opportunity"),
        Cell.NUMBER,
        value=lambda line: line.opportunity,
        sort_key=lambda line: line.opportunity,
        largest_first=True,
    ),
    Column(
        "status",
        T("Status"),
        Cell.STATUS,
        sort_key=lambda line: list(Status).index(line.status),
        export=lambda row: str(row.line.status_shown.name),
    ),
    Column("planned_for", T("Planned for"), export=lambda row: day_text(row.line.planned_for)),
    Column(
        "regressed",
        T("Regressed"),
        Cell.REGRESSED,
        sort_key=lambda line: day_order(line.regressed_on),
        largest_first=True,
        shown_first=False,
        export=lambda row: day_text(row.line.regressed_on if row.line.is_regressed else None),
    ),
    Column(
        "licence",
        T("Have licence"),
        Cell.YES_NO,
        value=lambda line: line.scored,
        sort_key=lambda line: float(not line.scored),
        shown_first=False,
        export=lambda row: str(T("Yes") if row.line.scored else T("No")),
    ),
    Column(
        "category",
        T("Category"),
        Cell.TEXT,
        value=lambda line: line.category_name,
        sort_key=lambda line: line.category_name.casefold() or None,
        export=lambda row: row.line.category_name,
    ),
    Column(
        "product",
        T("Product"),
        Cell.TEXT,
        value=lambda line: line.product,
        sort_key=lambda line: line.product.casefold() or None,
        export=lambda row: row.line.product,
    ),
    Column(
        "synced",
        T("Last synced"),
        Cell.DAY,
        value=lambda line: line.last_synced_at,
        sort_key=lambda line: day_order(line.last_synced_at),
        largest_first=True,
        shown_first=False,
        export=lambda row: day_text(row.line.last_synced_at),
    ),
    Column(
        "updated",
        T("Microsoft update"),
        Cell.DAY,
        value=lambda line: line.updated_at,
        sort_key=lambda line: day_order(line.updated_at),
        largest_first=True,
        shown_first=False,
        export=lambda row: day_text(row.line.updated_at),
    ),
    Column(
        "notes",
        T("Notes"),
        Cell.COUNT,
        value=lambda line: line.notes or None,
        sort_key=lambda line: float(line.notes),
        largest_first=True,
        shown_first=False,
        export=lambda row: str(row.line.notes or ""),
    ),
    Column("tags", T("Tags"), Cell.TAGS, shown_first=False, export=lambda row: ", ".join(row.line.tags)),
    Column(
        "ticket",
        T("Ticket"),
        Cell.TICKETS,
        export=lambda row: ", ".join(row.ticket_numbers),
        export_heading=T("Tickets"),
    ),
    Column("threats", T("Threats"), export=lambda row: ", ".join(row.line.threats)),
    Column("user_impact", T("User impact"), export=lambda row: str(LEVEL_NAMES[row.line.user_impact])),
    Column(
        "implementation_cost",
        T("Implementation cost"),
        export=lambda row: str(LEVEL_NAMES[row.line.implementation_cost]),
    ),
    Column("description", T("Description"), export=lambda row: plain_text(row.description)),
    Column("remediation", T("Next steps"), export=lambda row: plain_text(row.remediation)),
    # To calculate with.
    Column("points_number", T("Points achieved (number)"), export=lambda row: number_text(row.line.points)),
    Column("max_points", T("Points possible (number)"), export=lambda row: number_text(row.line.max_points)),
    Column("opportunity_number", T("Opportunity (number)"), export=lambda row: number_text(row.line.opportunity)),
    # The id joins the file with Graph's own data: titles do not, because several controls share one.
    # docs/facts/microsoft-graph.md#edge-30
    Column("control_id", T("Id"), export=lambda row: row.line.control_id),
)

LIST_COLUMNS = tuple(column for column in COLUMNS if column.cell is not None)
LIST_COLUMNS_BY_KEY = {column.key: column for column in LIST_COLUMNS}
FIRST_COLUMN_KEYS = tuple(column.key for column in LIST_COLUMNS if column.shown_first)
SORTABLE_KEYS = tuple(column.key for column in LIST_COLUMNS if column.sort_key)
EXPORT_COLUMNS = tuple(column for column in COLUMNS if column.export is not None)
