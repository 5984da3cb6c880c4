"""Secure Score: overview, history, trends and imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

from app.core import clock
from app.core.errors import Conflict, InvalidInput
from app.core.messages import Message, T
from app.features.accounts.audit import log_action
from app.features.secure_score.actions.action_rows import ActionLine, load_lines
from app.features.secure_score.jobs import ask_to_sync
from app.features.secure_score.reports.history import (
    HistoryLine,
    HistoryPage,
    Period,
    TenantEvent,
    days_in,
    load_history,
    newest_changes,
    what_is_known,
)
from app.features.secure_score.reports.no_score import NoScore, why_no_score
from app.features.secure_score.reports.overview import (
    CategoryScore,
    NewestDay,
    Review,
    Target,
    categories,
    differs,
    newest_day,
    reviews,
    targets,
    top_actions,
)
from app.features.secure_score.reports.score_summary import ScoreCard, card_of, day_scores, plotted
from app.features.secure_score.reports.trends import Trends, Zones, load_trends, load_zones, set_zones
from app.features.secure_score.sync.runs import RunLine, list_runs
from app.web.dependencies import Db, Manager, Res, Viewer
from app.web.forms import parse, read_form
from app.web.routing import PageRouter, redirect_to, url_for
from app.web.templating import render

router = PageRouter(prefix="/secure-score")

RANGES = ((30, T("30 days")), (90, T("90 days")), (180, T("6 months")), (365, T("12 months")))
USUAL_DAYS = 90
CHANGES_SHOWN = 6


class ZonesForm(BaseModel):
    """From where on the score is okay, and good."""

    okay_from: float
    good_from: float


@dataclass(frozen=True)
class Overview:
    """Everything the overview shows once there is a score; `include` names the targets drawn into the plot."""

    card: ScoreCard
    newest: NewestDay
    targets: list[Target]
    include: tuple[str, ...]
    categories: list[CategoryScore]
    reviews: list[Review]
    top: list[ActionLine]
    zones: Zones
    changes: Sequence[HistoryLine]

    @property
    def sum_differs(self) -> bool:
        """Whether Microsoft's total is not the sum of its parts; the total may be of an older day than the parts."""
        return self.card.day == self.newest.day and differs(self.card.points, self.newest.control_points)

    @property
    def unknown(self) -> int:
        """Actions whose maximum nobody tells."""
        return sum(category.unknown for category in self.categories)

    @property
    def series(self) -> list[tuple[Message, list[float | None]]]:
        """The plot: the score, and the targets that were chosen."""
        days = len(self.card.days)
        chosen = [(target.label, [target.percent] * days) for target in self.targets if target.name in self.include]
        return [(T("Secure Score in per cent"), self.card.values), *chosen]

    @property
    def comparison(self) -> tuple[list[str], list[tuple[Message, list[float | None]]]]:
        """Bars: us, and whoever Microsoft gives a number for."""
        known = [line for line in self.newest.comparisons if line.percent is not None]
        names = [str(T("Your organisation")), *(str(line.label) for line in known)]
        return names, [(T("Secure Score in per cent"), [self.card.percent, *(line.percent for line in known)])]


@dataclass(frozen=True)
class OverviewPage:
    """`shown` is None while there is no score, and `nothing` then says why."""

    shown: Overview | None
    nothing: NoScore | None
    may_sync: bool


@dataclass(frozen=True)
class FilterOption:
    """A time and categories, as the address names them; `nothing` says why there is no score of any day."""

    period: Period
    days: int
    category: str
    known: list[str]
    nothing: NoScore | None

    @property
    def ranges(self) -> tuple[tuple[int, Message], ...]:
        """The usual times."""
        return RANGES


@dataclass(frozen=True)
class HistoryView:
    """What changed each day."""

    choice: FilterOption
    history: HistoryPage
    plot: tuple[list[str], list[float | None]]
    events: list[TenantEvent]

    def address(self, number: int) -> str:
        """The same, on another page."""
        period, category = self.choice.period, self.choice.category or None
        return url_for("secure_score.history", since=period.since, until=period.until, page=number, category=category)


@dataclass(frozen=True)
class TrendsPage:
    """Measures over time, and the zones; `typed` and `errors` are of a form that was refused."""

    choice: FilterOption
    trends: Trends
    zones: Zones
    may_edit: bool
    typed: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, Message] = field(default_factory=dict)

    @property
    def bands(self) -> list[tuple[Message, float, float]]:
        """The zones behind the plot."""
        okay, good = self.zones.okay_from, self.zones.good_from
        return [(T("Bad"), 0, okay), (T("Okay"), okay, good), (T("Good"), good, 100)]


@dataclass(frozen=True)
class ImportsPage:
    """`problem` is why an import could not be asked for; `from_files` that Graph is not asked at all."""

    runs: list[RunLine]
    from_files: bool
    problem: Message | None

    @property
    def in_progress(self) -> bool:
        """Whether the page has something to wait for."""
        return any(run.in_progress for run in self.runs)


@router.get("", name="secure_score.overview")
async def overview(request: Request, viewer: Viewer, session: Db, resources: Res) -> Response:
    """The score, and how it came about."""
    config = resources.config
    include = tuple(request.query_params.getlist("include"))
    shown = await _overview(session, config.shown_tenant_id, include)
    may_sync = viewer.may_manage and config.shown_tenant_id == config.tenant_id
    nothing = await why_no_score(session, config) if shown is None else None
    return render(request, "secure_score/overview.html", OverviewPage(shown, nothing, may_sync))


async def _overview(session: Db, tenant_id: str, include: tuple[str, ...]) -> Overview | None:
    lines = await load_lines(session, tenant_id)
    days = await day_scores(session, tenant_id, USUAL_DAYS)
    regressed = sum(line.is_regressed for line in lines)
    newest = await newest_day(session, tenant_id)
    card = card_of(days, regressed=regressed, synced=newest.synced_at)
    if card is None:
        return None
    return Overview(
        card=card,
        newest=newest,
        targets=targets(lines, card.points, card.max_points),
        include=include,
        categories=categories(lines),
        reviews=reviews(lines),
        top=top_actions(lines),
        zones=await load_zones(session, tenant_id),
        changes=await newest_changes(session, tenant_id, CHANGES_SHOWN),
    )


@router.get("/history", name="secure_score.history")
async def history(
    request: Request, _viewer: Viewer, session: Db, resources: Res, category: str = "", page: str = "1"
) -> Response:
    """What changed each day."""
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
    """Measures over time."""
    page = await _trends_page(request, session, resources, category, may_edit=viewer.may_manage)
    return render(request, "secure_score/trends.html", page)


@router.post("/zones", name="secure_score.set_zones")
async def zones(request: Request, manager: Manager, session: Db, resources: Res) -> Response:
    """The organisation's own zones."""
    parsed = parse(await read_form(request), ZonesForm)
    errors = parsed.errors
    if parsed.values is not None:
        form, tenant_id = parsed.values, resources.config.shown_tenant_id
        try:
            await set_zones(
                session, tenant_id, okay_from=form.okay_from, good_from=form.good_from, who=manager.display_name
            )
            await log_action(session, manager, T("Zones set"), okay_from=form.okay_from, good_from=form.good_from)
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


async def _choice(request: Request, session: Db, resources: Res, category: str) -> FilterOption:
    """The time and category that the address names; what makes no sense is the usual."""
    known = await what_is_known(session, resources.config.shown_tenant_id)
    asked = request.query_params
    today = clock.now().date()
    newest = known.newest or today
    since, last = _day(asked.get("since", "")), _day(asked.get("until", ""))
    # Scores end with the newest snapshot, which may be old; decisions go on until today.
    until = last or max(newest, today)
    days = next((days for days, _ in RANGES if str(days) == asked.get("days", "")), USUAL_DAYS)
    if since is not None and since > until:
        since = None
    is_own = since is not None or last is not None
    before = min(newest, until).toordinal() - (days - 1)  # A last day alone is the end of the usual span.
    period = Period(since or date.fromordinal(max(before, 1)), until)
    chosen = category if category in known.categories else ""
    nothing = await why_no_score(session, resources.config) if known.newest is None else None
    return FilterOption(period, 0 if is_own else days, chosen, known.categories, nothing)


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


@router.post("/sync", name="secure_score.sync")
async def sync(request: Request, manager: Manager, session: Db, resources: Res) -> Response:
    """Ask for an import now."""
    try:
        await ask_to_sync(session, resources, asked_by=manager.display_name)
        await log_action(session, manager, T("Import asked for"))
    except Conflict as error:
        page = await _imports_page(session, resources, error.message)
        return render(request, "secure_score/imports.html", page, status=error.status)
    return redirect_to("secure_score.imports")


@router.get("/imports", name="secure_score.imports")
async def imports(request: Request, _manager: Manager, session: Db, resources: Res) -> Response:
    """What was imported, when, and what was odd. Asked for by htmx, only the part that changes."""
    page = await _imports_page(session, resources, None)
    template = "secure_score/_runs.html" if request.headers.get("hx-request") else "secure_score/imports.html"
    return render(request, template, page)


async def _imports_page(session: Db, resources: Res, problem: Message | None) -> ImportsPage:
    config = resources.config
    from_files = config.shown_tenant_id != config.tenant_id
    return ImportsPage(await list_runs(session, config.shown_tenant_id), from_files, problem)
