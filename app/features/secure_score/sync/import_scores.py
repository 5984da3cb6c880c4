"""Import scores and control profiles, from Graph or from files. Never deletes what an answer lacks.

Each page is stored in its own transaction, so that a later failure costs only what comes after it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import func, select

from app.core import clock
from app.core.database import Database, Session
from app.core.errors import AppError
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.core.unforeseen import is_unforeseen, kind_of
from app.features.secure_score.actions.write_back import confirm_states
from app.features.secure_score.models import ImportRun, ImprovementAction, ScoreSnapshot
from app.features.secure_score.sync.find_gaps import find_gaps
from app.features.secure_score.sync.parse_graph import SnapshotRow, profiles_of, snapshots_of
from app.features.secure_score.sync.parse_report import ParseReport
from app.features.secure_score.sync.read_file import CannotImport, is_flattened, read_file, wrong_kind
from app.features.secure_score.sync.rebuild_history import rebuild_history
from app.features.secure_score.sync.renames import find_renames, known_renames, let_others_follow, under_new_ids
from app.features.secure_score.sync.runs import ImportSource, RunStatus, known_until, open_run, stored
from app.features.secure_score.sync.score_changes import DECISION_DAYS
from app.features.secure_score.sync.upsert import (
    UpsertResult,
    apply_newest,
    lock_tenant,
    upsert_profiles,
    upsert_snapshots,
)
from app.integrations.microsoft.schemas import GraphPage
from app.resources import ProductConfig, Resources

log = get_logger(__name__)

# Graph keeps 90 days. When we are nearly that far behind, all of them are read, without `$top`.
# docs/facts/microsoft-graph.md#1-6-paging-size-throttling
MOST_DAYS_BEHIND = 80
# Days before the newest known one that are read again, in case they were corrected.
REREAD_DAYS = 3

Pages = AsyncIterator[GraphPage]


@dataclass
class ImportReport:
    """The result of an import; ``str()`` is what the command line prints."""

    source: ImportSource
    snapshots_read: int = 0
    snapshots_new: int = 0
    snapshots_changed: int = 0
    profiles_read: int = 0
    profiles_new: int = 0
    profiles_changed: int = 0
    actions_scored: int = 0
    without_profile: int = 0
    warnings: list[Message] = field(default_factory=list)
    failures: list[tuple[Message, Message]] = field(default_factory=list)  # The stage, and what went wrong in it.
    earliest: date | None = None
    # The newest day with its actions, and the newest one on which any of them has points, which can be an older one.
    newest: SnapshotRow | None = field(default=None, repr=False)
    newest_with_points: SnapshotRow | None = field(default=None, repr=False)
    stored_anything: bool = False
    is_incomplete: bool = False  # Graph answered 206 Partial Content.

    @property
    def status(self) -> RunStatus:
        """Partial when something is missing, failed when nothing was stored."""
        if not self.failures:
            return RunStatus.PARTIAL if self.is_incomplete else RunStatus.DONE
        return RunStatus.PARTIAL if self.stored_anything else RunStatus.FAILED

    @property
    def problems(self) -> list[Message]:
        """One sentence per failure; the same one for all stages is said once."""
        distinct = dict.fromkeys(sentence for _, sentence in self.failures)
        if len(distinct) == 1 and len(self.failures) > 1:
            return list(distinct)
        return [T("%(stage)s: %(problem)s", stage=stage, problem=sentence) for stage, sentence in self.failures]

    @property
    def problem(self) -> Message | None:
        """Why it is partial or failed."""
        joined: Message | None = None
        for sentence in self.problems:
            joined = sentence if joined is None else T("%(first)s %(second)s", first=joined, second=sentence)
        return joined

    def __str__(self) -> str:
        opening = {
            RunStatus.DONE: T("Imported from %(source)s.", source=SOURCE_NAMES[self.source]),
            RunStatus.PARTIAL: T("Imported from %(source)s, but not everything.", source=SOURCE_NAMES[self.source]),
        }.get(self.status, T("Nothing was imported from %(source)s.", source=SOURCE_NAMES[self.source]))
        lines = [
            str(opening),
            str(
                T(
                    "  Daily scores: %(read)s read, %(new)s new, %(changed)s changed.",
                    read=self.snapshots_read,
                    new=self.snapshots_new,
                    changed=self.snapshots_changed,
                )
            ),
            str(
                T(
                    "  Control profiles: %(read)s read, %(new)s new, %(changed)s changed.",
                    read=self.profiles_read,
                    new=self.profiles_new,
                    changed=self.profiles_changed,
                )
            ),
            str(
                T(
                    "  Improvement actions with a score: %(scored)s, of them without a profile: %(without)s.",
                    scored=self.actions_scored,
                    without=self.without_profile,
                )
            ),
        ]
        lines += [str(T("  Warning: %(sentence)s", sentence=warning)) for warning in dict.fromkeys(self.warnings)]
        lines += [str(T("  Problem: %(sentence)s", sentence=problem)) for problem in self.problems]
        return "\n".join(lines)


SOURCE_NAMES = {ImportSource.GRAPH: T("Microsoft Graph"), ImportSource.FILES: T("files")}
READING_PROFILES = T("Reading the catalog of controls")
READING_SCORES = T("Reading the daily scores")
NOT_TAKEN_UP = T(
    "something in it could not be taken up, which we did not foresee. What came before it is kept. If it stays so, an operator "
    "finds secure_score.import.unexpected in the log."
)
COMPARING_DAYS = T("Comparing the days")


async def import_from_graph(resources: Resources, *, run_id: UUID | None = None) -> ImportReport:
    """Import everything that is missing; `run_id` is the waiting run of a request. Raises CannotImport when nothing came."""
    work = _Import(resources.database, resources.config.tenant_id, ImportSource.GRAPH)
    top = await work.begin(run_id)
    # Neither list covers the other, and one may fail alone: docs/facts/microsoft-graph.md#edge-8
    # https://learn.microsoft.com/graph/api/security-list-securescorecontrolprofiles
    await work.read_list(READING_PROFILES, resources.graph.control_profiles(), work.store_profile_page)
    # https://learn.microsoft.com/graph/api/security-list-securescores
    complete = await work.read_list(READING_SCORES, resources.graph.scores(top), work.store_score_page)
    return await work.end(scores_are_complete=complete)


async def import_from_files(
    database: Database, config: ProductConfig, *, scores: Path | None, profiles: Path | None
) -> ImportReport:
    """Import files that hold answers of Graph, lists of items, or single items. Raises CannotImport."""
    work = _Import(database, config.shown_tenant_id, ImportSource.FILES)
    await work.begin(None)
    if profiles is not None:
        await work.read_list(READING_PROFILES, _file_page(profiles, work.report), work.store_profile_page)
    if scores is not None:
        await work.read_list(READING_SCORES, _file_page(scores, work.report), work.store_score_page)
    return await work.end()


class _Import:
    """One run. Every method opens its own short transactions."""

    def __init__(self, database: Database, tenant_id: str, source: ImportSource) -> None:
        self.report = ImportReport(source)
        self._database = database
        self._tenant_id = tenant_id
        self._parse_report = ParseReport()
        self._run_id: UUID | None = None

    async def begin(self, run_id: UUID | None) -> int | None:
        """Start the waiting run, or a new one; gives how many days to ask Graph for, None for all."""
        async with self._database.transaction() as session:
            run = await session.get(ImportRun, run_id) if run_id else None
            if run is None:
                run = await open_run(session, self._tenant_id, self.report.source)
            run.status = RunStatus.RUNNING
            run.started_at = run.heard_at = clock.now()
            self._run_id = run.id
            return await _days_to_read(session, self._tenant_id)

    async def read_list(self, stage: Message, pages: Pages, store: Callable[[GraphPage], Awaitable[None]]) -> bool:
        """Read one list to its end or to its first failure, which is recorded; gives whether all of it came."""
        complete = True
        await self._note(stage)
        try:
            async for page in pages:
                if page.warning:
                    # 206 with a Warning header: a provider behind Graph failed. docs/facts/microsoft-graph.md#edge-5
                    complete = False
                    self.report.is_incomplete = True
                    self.report.warnings.append(
                        T("Microsoft marked its answer as incomplete (%(warning)s).", warning=page.warning[:300])
                    )
                await store(page)
                await self._note(stage)
        except AppError as error:
            log.warning("secure_score.import.list_broke_off", stage=stage.message, error=type(error).__name__)
            self.report.failures.append((stage, error.message))
            return False
        except Exception as error:
            if not is_unforeseen(error):
                raise
            log.exception("secure_score.import.unexpected", stage=stage.message, error=kind_of(error))
            self.report.failures.append((stage, NOT_TAKEN_UP))
            return False
        return complete

    async def store_profile_page(self, page: GraphPage) -> None:
        rows = profiles_of(page.items, self._tenant_id, self._parse_report)
        if page.items and not rows:
            raise wrong_kind(
                page.items, T("None of the %(count)s entries is a control profile.", count=len(page.items))
            )
        async with self._database.transaction() as session:
            await lock_tenant(session, self._tenant_id)
            result = await upsert_profiles(session, self._tenant_id, rows)
        self.report.profiles_read += len(rows)
        self.report.profiles_new += result.new
        self.report.profiles_changed += result.changed
        self.report.stored_anything = True

    async def store_score_page(self, page: GraphPage) -> None:
        rows = snapshots_of(page.items, self._tenant_id, self._parse_report)
        if page.items and not rows:
            raise wrong_kind(page.items, T("None of the %(count)s entries is a daily score.", count=len(page.items)))
        async with self._database.transaction() as session:
            await lock_tenant(session, self._tenant_id)
            rows = under_new_ids(rows, await known_renames(session, self._tenant_id))
            if page.warning:
                rows = await _without_gaps(session, self._tenant_id, rows)
            result = await upsert_snapshots(session, self._tenant_id, rows)
        self.report.snapshots_read += len(rows)
        self.report.stored_anything = True
        self._remember(result, rows)

    def _remember(self, result: UpsertResult, rows: list[SnapshotRow]) -> None:
        report = self.report
        report.snapshots_new += result.new
        report.snapshots_changed += result.changed
        if result.earliest is not None:
            report.earliest = min(report.earliest or result.earliest, result.earliest)
        for row in rows:
            if row.controls and (report.newest is None or row.created_at >= report.newest.created_at):
                report.newest = row
            before = report.newest_with_points
            if row.control_points and (before is None or row.created_at >= before.created_at):
                report.newest_with_points = row

    async def end(self, *, scores_are_complete: bool = False) -> ImportReport:
        """Derive the history and close the run. Raises CannotImport when nothing came."""
        report = self.report
        report.warnings += self._parse_report.sentences()
        await self._note(COMPARING_DAYS)
        async with self._database.transaction() as session:
            await lock_tenant(session, self._tenant_id)
            first_changed = await find_gaps(session, self._tenant_id)
            if first_changed is not None:
                report.earliest = min(report.earliest or first_changed, first_changed)
            for row in (report.newest_with_points, report.newest):
                if row is not None:
                    await apply_newest(session, self._tenant_id, row)
            renames = await find_renames(session, self._tenant_id)
            newest_day = await _newest_day(session, self._tenant_id)
            if newest_day is not None and report.profiles_read:
                # The catalog holds the states, and a catalog that failed yesterday tells today why the points moved then.
                late = newest_day - timedelta(days=DECISION_DAYS)
                report.earliest = min(report.earliest or late, late)
            if renames:
                await rebuild_history(session, self._tenant_id)
            elif report.earliest is not None:
                await rebuild_history(session, self._tenant_id, report.earliest)
            await confirm_states(session, self._tenant_id)
            await count_actions(session, self._tenant_id, report)
            run = await session.get_one(ImportRun, self._run_id)
            run.known_until = newest_day if scores_are_complete else None
            self._close(run)
            await let_others_follow(session, renames)
        log.info(
            "secure_score.import.ended",
            status=str(report.status),
            snapshots=report.snapshots_read,
            profiles=report.profiles_read,
        )
        if report.status is RunStatus.FAILED and report.problem is not None:
            raise CannotImport(report.problem)
        return report

    async def _note(self, stage: Message) -> None:
        """Record the stage and a heartbeat."""
        async with self._database.transaction() as session:
            run = await session.get_one(ImportRun, self._run_id)
            run.stage = stage.message
            run.heard_at = clock.now()
            self._count(run)

    def _close(self, run: ImportRun) -> None:
        run.status = self.report.status
        run.finished_at = run.heard_at = clock.now()
        run.stage = ""
        run.warnings = stored(self.report.warnings)
        run.problem = self.report.problem.to_json() if self.report.problem else None
        self._count(run)

    def _count(self, run: ImportRun) -> None:
        report = self.report
        run.snapshots_read, run.snapshots_new = report.snapshots_read, report.snapshots_new
        run.profiles_read, run.profiles_new = report.profiles_read, report.profiles_new
        run.profiles_changed = report.profiles_changed
        run.actions_scored, run.without_profile = report.actions_scored, report.without_profile


async def _days_to_read(session: Session, tenant_id: str) -> int | None:
    """How many of the newest days to read; None for everything Graph has, the first time and when we are far behind."""
    # Not counted from the newest stored day: Graph sends the newest first, so a list that broke off leaves a gap below it.
    known = await known_until(session, tenant_id)
    if known is None:
        return None
    behind = max((clock.now().date() - known).days, 0)
    return None if behind > MOST_DAYS_BEHIND else behind + REREAD_DAYS


async def _newest_day(session: Session, tenant_id: str) -> date | None:
    found = await session.execute(select(func.max(ScoreSnapshot.day)).where(ScoreSnapshot.tenant_id == tenant_id))
    return found.scalar_one()


async def _without_gaps(session: Session, tenant_id: str, rows: list[SnapshotRow]) -> list[SnapshotRow]:
    """Leave the controls out of days that lack some of them."""
    # In an answer marked as partial, a control that is missing is unknown, and not removed: docs/facts/microsoft-graph.md#edge-5
    found = await session.execute(
        select(ImprovementAction.control_id).where(ImprovementAction.tenant_id == tenant_id, ImprovementAction.scored)
    )
    scored = set(found.scalars())
    return [
        row if scored.issubset(control.control_id for control in row.controls or ()) else replace(row, controls=None)
        for row in rows
    ]


async def count_actions(session: Session, tenant_id: str, report: ImportReport) -> None:
    """Count the actions with a score, and those of them that the catalog lacks."""
    scored = (ImprovementAction.tenant_id == tenant_id, ImprovementAction.scored)
    without = func.count().filter(~ImprovementAction.has_profile)
    found = await session.execute(select(func.count(), without).where(*scored))
    report.actions_scored, report.without_profile = found.one()


async def _file_page(path: Path, report: ImportReport) -> Pages:
    """A file as one page. Raises CannotImport."""
    content = read_file(path)
    if content.goes_on:
        report.warnings.append(
            T("%(file)s ends with a link to a next page, so the list may go on elsewhere.", file=path.name)
        )
    if any(is_flattened(item.get("controlScores")) for item in content.items):
        report.warnings.append(
            T(
                "%(file)s was saved by PowerShell without its lists, so no action has points from it: save it again with"
                " “ConvertTo-Json -Depth 10”.",
                file=path.name,
            )
        )
    yield GraphPage(items=content.items, warning=None)
