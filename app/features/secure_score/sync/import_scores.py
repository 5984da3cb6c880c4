"""Imports scores and control profiles, from Graph or from files, and says what came of it. Deletes nothing it did not see.

Each page that arrives is kept in a transaction of its own, so a failure later on costs only what comes after it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from app.core import clock
from app.core.database import Database, Session
from app.core.errors import AppError
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.secure_score.actions.write_back import confirm_states
from app.features.secure_score.models import ImportRun, ImprovementAction, ScoreSnapshot
from app.features.secure_score.sync.parse_graph import ParseReport, SnapshotRow, profiles_of, snapshots_of
from app.features.secure_score.sync.rebuild_history import rebuild_history
from app.features.secure_score.sync.runs import ImportSource, RunStatus, known_until, open_run, stored
from app.features.secure_score.sync.score_changes import DECISION_DAYS
from app.features.secure_score.sync.upsert import Kept, apply_newest, keep_profiles, keep_snapshots, take_turn
from app.integrations.microsoft.schemas import GraphPage
from app.resources import ProductConfig, Resources

log = get_logger(__name__)

# Graph keeps 90 days; when we are nearly that far behind, all of them are read.
MOST_DAYS_BEHIND = 80
# Days before the newest known one that are read again, in case they were corrected.
READ_AGAIN_DAYS = 3
LARGEST_FILE_BYTES = 256 * 1024 * 1024

Pages = AsyncIterator[GraphPage]


class CannotImport(AppError):
    """Nothing could be imported; the message says why."""

    status = 422


@dataclass
class ImportReport:
    """What an import brought; ``str()`` tells it to the person who asked."""

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
    failures: list[tuple[Message, Message]] = field(default_factory=list)  # What was being done, and what went wrong.
    earliest: date | None = None
    newest: SnapshotRow | None = field(default=None, repr=False)
    kept_anything: bool = False
    is_incomplete: bool = False  # Microsoft marked an answer so (206).

    @property
    def status(self) -> RunStatus:
        """Done, partial when something is missing, failed when nothing came."""
        if not self.failures:
            return RunStatus.PARTIAL if self.is_incomplete else RunStatus.DONE
        return RunStatus.PARTIAL if self.kept_anything else RunStatus.FAILED

    @property
    def problems(self) -> list[Message]:
        """Every failure as one sentence; what befell everything alike is said once."""
        told = dict.fromkeys(sentence for _, sentence in self.failures)
        if len(told) == 1 and len(self.failures) > 1:
            return list(told)
        return [T("%(stage)s: %(problem)s", stage=stage, problem=sentence) for stage, sentence in self.failures]

    @property
    def problem(self) -> Message | None:
        """Why it is partial or failed, in one text."""
        together: Message | None = None
        for sentence in self.problems:
            together = sentence if together is None else T("%(first)s %(second)s", first=together, second=sentence)
        return together

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
TELLING = T("Comparing the days")


async def import_from_graph(resources: Resources, *, run_id: UUID | None = None) -> ImportReport:
    """Fetch and keep; `run_id` is a waiting run that somebody asked for. Raises CannotImport when nothing came."""
    work = _Import(resources.database, resources.config.tenant_id, ImportSource.GRAPH)
    top = await work.begin(run_id)
    await work.part(READING_PROFILES, resources.graph.control_profiles(), work.keep_profile_page)
    whole = await work.part(READING_SCORES, resources.graph.scores(top), work.keep_score_page)
    return await work.end(scores_are_whole=whole)


async def import_from_files(
    database: Database, config: ProductConfig, *, scores: Path | None, profiles: Path | None
) -> ImportReport:
    """Keep what these files hold: Graph's answers, lists of items, or single items. Raises CannotImport."""
    work = _Import(database, config.shown_tenant_id, ImportSource.FILES)
    await work.begin(None)
    if profiles is not None:
        await work.part(READING_PROFILES, _file_page(profiles, work.report), work.keep_profile_page)
    if scores is not None:
        await work.part(READING_SCORES, _file_page(scores, work.report), work.keep_score_page)
    return await work.end()


class _Import:
    """One run, step by step; every method opens its own short transaction."""

    def __init__(self, database: Database, tenant_id: str, source: ImportSource) -> None:
        self.report = ImportReport(source)
        self._database = database
        self._tenant_id = tenant_id
        self._findings = ParseReport()
        self._run_id: UUID | None = None

    async def begin(self, run_id: UUID | None) -> int | None:
        """Open the run, or take up the waiting one; says how many days to ask for, None for all."""
        async with self._database.transaction() as session:
            run = await session.get(ImportRun, run_id) if run_id else None
            if run is None:
                run = await open_run(session, self._tenant_id, self.report.source)
            run.status = RunStatus.RUNNING
            run.started_at = run.heard_at = clock.now()
            self._run_id = run.id
            return await _days_to_read(session, self._tenant_id)

    async def part(self, stage: Message, pages: Pages, keep: Callable[[GraphPage], Awaitable[None]]) -> bool:
        """Read one list to its end or to its first failure, which is written down and does not stop the other list.

        Says whether all of it came.
        """
        whole = True
        await self._note(stage)
        try:
            async for page in pages:
                if page.warning:
                    whole = False
                    self.report.is_incomplete = True
                    self.report.warnings.append(
                        T("Microsoft marked its answer as incomplete (%(warning)s).", warning=page.warning[:300])
                    )
                await keep(page)
                await self._note(stage)
        except AppError as error:
            log.warning("import stopped early", stage=stage.message, error=type(error).__name__)
            self.report.failures.append((stage, error.message))
            return False
        return whole

    async def keep_profile_page(self, page: GraphPage) -> None:
        """One page of the catalog."""
        rows = profiles_of(page.items, self._tenant_id, self._findings)
        if page.items and not rows:
            raise CannotImport(T("None of the %(count)s entries is a control profile.", count=len(page.items)))
        async with self._database.transaction() as session:
            await take_turn(session, self._tenant_id)
            kept = await keep_profiles(session, self._tenant_id, rows)
        self.report.profiles_read += len(rows)
        self.report.profiles_new += kept.new
        self.report.profiles_changed += kept.changed
        self.report.kept_anything = True

    async def keep_score_page(self, page: GraphPage) -> None:
        """One page of daily scores."""
        rows = snapshots_of(page.items, self._tenant_id, self._findings)
        if page.items and not rows:
            raise CannotImport(T("None of the %(count)s entries is a daily score.", count=len(page.items)))
        async with self._database.transaction() as session:
            await take_turn(session, self._tenant_id)
            if page.warning:
                rows = await _without_gaps(session, self._tenant_id, rows)
            kept = await keep_snapshots(session, self._tenant_id, rows)
        self.report.snapshots_read += len(rows)
        self.report.kept_anything = True
        self._remember(kept, rows)

    def _remember(self, kept: Kept, rows: list[SnapshotRow]) -> None:
        report = self.report
        report.snapshots_new += kept.new
        report.snapshots_changed += kept.changed
        if kept.earliest is not None:
            report.earliest = min(report.earliest or kept.earliest, kept.earliest)
        for row in rows:
            if row.controls and (report.newest is None or row.created_at >= report.newest.created_at):
                report.newest = row

    async def end(self, *, scores_are_whole: bool = False) -> ImportReport:
        """Compare the days, close the run. Raises CannotImport when nothing came."""
        report = self.report
        report.warnings += self._findings.sentences()
        await self._note(TELLING)
        async with self._database.transaction() as session:
            await take_turn(session, self._tenant_id)
            if report.newest is not None:
                await apply_newest(session, self._tenant_id, report.newest)
            newest_day = await _newest_day(session, self._tenant_id)
            if newest_day is not None and report.profiles_read:
                # The catalog holds the decisions, and may tell one after the points that it moved.
                late = newest_day - timedelta(days=DECISION_DAYS)
                report.earliest = min(report.earliest or late, late)
            if report.earliest is not None:
                await rebuild_history(session, self._tenant_id, report.earliest)
            await confirm_states(session, self._tenant_id)
            await count_actions(session, self._tenant_id, report)
            run = await session.get_one(ImportRun, self._run_id)
            run.known_until = newest_day if scores_are_whole else None
            self._close(run)
        log.info(
            "import ended", status=str(report.status), snapshots=report.snapshots_read, profiles=report.profiles_read
        )
        if report.status is RunStatus.FAILED and report.problem is not None:
            raise CannotImport(report.problem)
        return report

    async def _note(self, stage: Message) -> None:
        """Write down how far it is, for whoever looks."""
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
    """Days that are missing at our end, with a few to read again; None for everything Graph has.

    Counted from the day up to which the scores are known without a gap, not from the newest one: Graph sends the newest
    first, so a list that broke off leaves a hole below it. A catalog that fails does not make days be read again.
    Everything is read the first time and when we are far behind.
    """
    known = await known_until(session, tenant_id)
    if known is None:
        return None
    behind = max((clock.now().date() - known).days, 0)
    return None if behind > MOST_DAYS_BEHIND else behind + READ_AGAIN_DAYS


async def _newest_day(session: Session, tenant_id: str) -> date | None:
    found = await session.execute(select(func.max(ScoreSnapshot.day)).where(ScoreSnapshot.tenant_id == tenant_id))
    return found.scalar_one()


async def _without_gaps(session: Session, tenant_id: str, rows: list[SnapshotRow]) -> list[SnapshotRow]:
    """What a failing provider did not send is unknown, not gone: of a day that lacks actions, only the totals are kept."""
    found = await session.execute(
        select(ImprovementAction.control_id).where(ImprovementAction.tenant_id == tenant_id, ImprovementAction.scored)
    )
    scored = set(found.scalars())
    return [
        row if scored.issubset(control.control_id for control in row.controls or ()) else replace(row, controls=None)
        for row in rows
    ]


async def count_actions(session: Session, tenant_id: str, report: ImportReport) -> None:
    """How many actions have a score now, and how many of them the catalog does not know."""
    scored = (ImprovementAction.tenant_id == tenant_id, ImprovementAction.scored)
    without = func.count().filter(~ImprovementAction.has_profile)
    found = await session.execute(select(func.count(), without).where(*scored))
    report.actions_scored, report.without_profile = found.one()


async def _file_page(path: Path, report: ImportReport) -> Pages:
    """A file as one page. Raises CannotImport with the place where it cannot be read."""
    content = _read_json(path)
    if isinstance(content, list):
        items: Any = content
    elif isinstance(content, dict):
        items = content.get("value", [content] if "id" in content else None)
        if content.get("@odata.nextLink"):
            report.warnings.append(
                T("%(file)s ends with a link to a next page, so the list may go on elsewhere.", file=path.name)
            )
    else:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise CannotImport(T("%(file)s does not hold a list of Graph’s items.", file=path.name))
    yield GraphPage(items=items, warning=None)


def _read_json(path: Path) -> object:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise CannotImport(T("%(file)s is larger than 256 MiB.", file=path.name))
        return json.loads(path.read_bytes())
    except OSError as error:
        raise CannotImport(
            T("%(file)s cannot be read: %(reason)s.", file=path.name, reason=error.strerror or "unknown error")
        ) from error
    except json.JSONDecodeError as error:
        raise CannotImport(
            T(
                "%(file)s is not complete JSON: it breaks off or goes wrong at line %(line)s, column %(column)s.",
                file=path.name,
                line=error.lineno,
                column=error.colno,
            )
        ) from error
    except (ValueError, RecursionError) as error:
        raise CannotImport(T("%(file)s is not readable text in UTF-8.", file=path.name)) from error
