"""Pages of Secure Score: overview, history, trends and imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

from app.core import clock
from app.core.errors import Conflict, InvalidInput
from app.core.messages import Message, T
from app.features.secure_score.actions.action_rows import ActionLine, load_lines
from app.features.secure_score.actions.portal_links import secure_score_page
from app.features.secure_score.jobs import request_sync
from app.features.secure_score.reports.day_scores import plotted
from app.features.secure_score.reports.freshness import newest_staleness
from app.features.secure_score.reports.history import (
    HistoryLine,
    HistoryPage,
    Period,
    TenantEvent,
    days_in,
    filter_values,
    load_history,
    newest_changes,
    newest_days,
)
from app.features.secure_score.reports.listed_categories import listed_categories
from app.features.secure_score.reports.no_score import NoScore, why_no_score
from app.features.secure_score.reports.overview import (
    CategoryScore,
    DefaultPoints,
    NewestDay,
    Review,
    Target,
    categories,
    default_points,
    differs,
    newest_day,
    reviews,
    targets,
    top_actions,
    unlisted_points,
)
from app.features.secure_score.reports.score_summary import COMPARED_WITH_DAYS, PLOT_DAYS, ScoreCard, card_of
from app.features.secure_score.reports.trends import Trends, Zones, load_trends, load_zones, set_zones
from app.features.secure_score.sync.runs import RunLine, list_runs
from app.web.dependencies import Db, Manager, Res, Viewer
from app.web.forms import parse, read_form
from app.web.rate_limits import limited
from app.web.routing import PageRouter, redirect_to, url_for
from app.web.templating import render

router = PageRouter(prefix="/secure-score")

RANGES = ((30, T("30 days")), (90, T("90 days")), (180, T("6 months")), (365, T("12 months")))
DEFAULT_DAYS = 90
CHANGES_SHOWN = 6
EVENTS_SHOWN = 3
# Of a tenant whose maximum moves every day of a quarter, all are listed.
MOST_EVENTS = 100


class ZonesForm(BaseModel):
    """Percentages; `set_zones` checks their order."""

    okay_from: float
    good_from: float


@dataclass(frozen=True)
class Overview:
    """The overview with a score; `include` holds the names of the targets that are drawn into the plot."""

    card: ScoreCard
    newest: NewestDay
    targets: list[Target]
    include: tuple[str, ...]
    categories: list[CategoryScore]
    reviews: list[Review]
    top: list[ActionLine]
    zones: Zones
    changes: Sequence[HistoryLine]
    events: Sequence[TenantEvent]
    unlisted: float
    defaults: DefaultPoints

    @property
    def sum_differs(self) -> bool:
        """Whether the reported total is not the sum of the actions' points."""
        # The total can be of an older day than the points, and then nothing can be said: docs/facts/microsoft-graph.md#edge-16
        return self.card.day == self.newest.day and differs(self.card.points, self.newest.control_points)

    @property
    def unknown(self) -> int:
        """Actions whose points or maximum are unknown."""
        return sum(category.unknown for category in self.categories)

    @property
    def series(self) -> list[tuple[Message, list[float | None]]]:
        days = len(self.card.days)
        chosen = [(target.label, [target.percent] * days) for target in self.targets if target.name in self.include]
        return [(T("Secure Score in per cent"), self.card.values), *chosen]

    @property
    def comparison(self) -> tuple[list[str], list[tuple[Message, list[float | None]]]]:
        """Bars: our percentage, and each comparison that Microsoft gives."""
        known = [line for line in self.newest.comparisons if line.percent is not None]
        names = [str(T("Your organisation")), *(str(line.label) for line in known)]
        return names, [(T("Secure Score in per cent"), [self.card.percent, *(line.percent for line in known)])]


@dataclass(frozen=True)
class OverviewPage:
    """`shown` is None while there is no score; `nothing` is then the reason."""

    shown: Overview | None
    nothing: NoScore | None
    may_sync: bool
    portal_address: str


@dataclass(frozen=True)
class PeriodFilter:
    """Period and category of the address; `days` is 0 for a period of one's own. `nothing` is why there is no score at all.

    `known` are the categories to choose from, out of `categories` in all.
    """

    period: Period
    days: int
    category: str
    known: list[str]
    categories: int
    nothing: NoScore | None

    @property
    def ranges(self) -> tuple[tuple[int, Message], ...]:
        return RANGES


@dataclass(frozen=True)
class HistoryView:
    choice: PeriodFilter
    history: HistoryPage
    plot: tuple[list[str], list[float | None]]
    events: list[TenantEvent]
    most_events: int = MOST_EVENTS

    def address(self, number: int) -> str:
        period, category = self.choice.period, self.choice.category or None
        return url_for("secure_score.history", since=period.since, until=period.until, page=number, category=category)


@dataclass(frozen=True)
class TrendsPage:
    """`typed` and `errors` belong to a form for the zones that was refused."""

    choice: PeriodFilter
    trends: Trends
    zones: Zones
    may_edit: bool
    typed: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, Message] = field(default_factory=dict)

    @property
    def bands(self) -> list[tuple[Message, float, float]]:
        okay, good = self.zones.okay_from, self.zones.good_from
        return [(T("Bad"), 0, okay), (T("Okay"), okay, good), (T("Good"), good, 100)]


@dataclass(frozen=True)
class ImportsPage:
    """`problem` is why an import could not be requested; `from_files` is true where Graph is not used at all.

    `stale` says that the newest score is old, whatever became of the imports.
    """

    runs: list[RunLine]
    from_files: bool
    problem: Message | None
    stale: Message | None

    @property
    def in_progress(self) -> bool:
        return any(run.in_progress for run in self.runs)


@router.get("", name="secure_score.overview")
async def overview(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    config = resources.config
    include = tuple(dict.fromkeys(request.query_params.getlist("include")))
    shown = await _overview(session, config.shown_tenant_id, include)
    may_sync = viewer.may_manage and config.shown_tenant_id == config.tenant_id
    nothing = await why_no_score(session, config) if shown is None else None
    return render(
        request,
        "secure_score/overview.html",
        OverviewPage(shown, nothing, may_sync, secure_score_page(config.microsoft_cloud)),
    )


async def _overview(session: Db, tenant_id: str, include: tuple[str, ...]) -> Overview | None:
    lines = await load_lines(session, tenant_id)
    days, events = await newest_days(session, tenant_id, PLOT_DAYS)
    regressed = sum(line.is_regressed for line in lines)
    newest = await newest_day(session, tenant_id)
    card = card_of(days, regressed=regressed, synced=newest.synced_at)
    if card is None:
        return None
    recent = card.day - timedelta(days=COMPARED_WITH_DAYS)
    return Overview(
        card=card,
        newest=newest,
        targets=targets(lines, card.points, card.max_points),
        include=include,
        categories=categories(lines, include),
        reviews=reviews(lines),
        top=top_actions(lines),
        zones=await load_zones(session, tenant_id),
        changes=await newest_changes(session, tenant_id, CHANGES_SHOWN),
        events=[event for event in events if event.day > recent][:EVENTS_SHOWN],
        unlisted=unlisted_points(lines),
        defaults=default_points(lines),
    )


@router.get("/history", name="secure_score.history")
async def history(
    request: Request, _viewer: Viewer, session: Db, resources: Res, category: str = "", page: str = "1"
) -> Response:
    tenant_id = resources.config.shown_tenant_id
    choice = await _choice(request, session, resources, category)
    categories_asked = [choice.category] if choice.category else []
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
    lines = await load_history(session, tenant_id, choice.period, categories_asked, number)
    days, events = await days_in(session, tenant_id, choice.period)
    view = HistoryView(choice, lines, plotted(days), events)
    return render(request, "secure_score/history.html", view)


@router.get("/trends", name="secure_score.trends")
async def trends(request: Request, viewer: Viewer, session: Db, resources: Res, category: str = "") -> Response:
    page = await _trends_page(request, session, resources, category, may_edit=viewer.may_manage)
    return render(request, "secure_score/trends.html", page)


@router.post("/zones", name="secure_score.set_zones")
async def zones(request: Request, manager: Manager, session: Db, resources: Res) -> Response:
    parsed = parse(await read_form(request), ZonesForm)
    errors = parsed.errors
    if parsed.values is not None:
        form, tenant_id = parsed.values, resources.config.shown_tenant_id
        try:
            await set_zones(session, tenant_id, okay_from=form.okay_from, good_from=form.good_from, by=manager)
            return redirect_to("secure_score.trends")
        except InvalidInput as error:
            errors = error.fields
    page = await _trends_page(
        request, session, resources, "", may_edit=True, typed=parsed.typed, errors=errors
    )  # fmt: skip
    return render(request, "secure_score/trends.html", page, status=422)


async def _trends_page(
    request: Request,
    session: Db,
    resources: Res,
    category: str,
    *,
    may_edit: bool,
    typed: Mapping[str, str] | None = None,
    errors: Mapping[str, Message] | None = None,
) -> TrendsPage:
    tenant_id = resources.config.shown_tenant_id
    choice = await _choice(request, session, resources, category)
    return TrendsPage(
        choice=choice,
        trends=await load_trends(session, tenant_id, choice.period, choice.category),
        zones=await load_zones(session, tenant_id),
        may_edit=may_edit,
        typed=typed or {},
        errors=errors or {},
    )


async def _choice(request: Request, session: Db, resources: Res, category: str) -> PeriodFilter:
    """Period and category of the address; what cannot be parsed is replaced by the default."""
    known = await filter_values(session, resources.config.shown_tenant_id)
    query = request.query_params
    today = clock.now().date()
    newest = known.newest or today
    since, last = _day(query.get("since", "")), _day(query.get("until", ""))
    # Scores end with the newest snapshot, which may be old; decisions go on until today.
    until = last or max(newest, today)
    days = next((days for days, _ in RANGES if str(days) == query.get("days", "")), DEFAULT_DAYS)
    if since is not None and since > until:
        since = None
    is_own = since is not None or last is not None
    # With a last day alone, the period is the usual number of days before it.
    before = min(newest, until).toordinal() - (days - 1)
    period = Period(since or date.fromordinal(max(before, 1)), until)
    chosen = category if category in known.categories else ""
    nothing = await why_no_score(session, resources.config) if known.newest is None else None
    listed = sorted(listed_categories(known.categories, chosen))
    return PeriodFilter(period, 0 if is_own else days, chosen, listed, len(known.categories), nothing)


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


@router.post("/sync", name="secure_score.sync", dependencies=[limited("sync")])
async def sync(request: Request, manager: Manager, session: Db, resources: Res) -> Response:
    try:
        await request_sync(session, resources, by=manager)
    except Conflict as error:
        page = await _imports_page(session, resources, error.message)
        return render(request, "secure_score/imports.html", page, status=error.status)
    return redirect_to("secure_score.imports")


@router.get("/imports", name="secure_score.imports")
async def imports(request: Request, _manager: Manager, session: Db, resources: Res) -> Response:
    """The whole page, or for htmx the part that changes."""
    page = await _imports_page(session, resources, None)
    template = "secure_score/_runs.html" if request.headers.get("hx-request") else "secure_score/imports.html"
    return render(request, template, page)


async def _imports_page(session: Db, resources: Res, problem: Message | None) -> ImportsPage:
    config = resources.config
    from_files = config.shown_tenant_id != config.tenant_id
    stale = await newest_staleness(session, config.shown_tenant_id, clock.now())
    return ImportsPage(await list_runs(session, config.shown_tenant_id), from_files, problem, stale)
