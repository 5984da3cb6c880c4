"""The list of the home page's cards: title, loader, template and audience of each. Holds no route and no layout."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.core.database import Session
from app.core.errors import NotFound
from app.core.messages import Message, T
from app.features.accounts.permissions import Role, Viewer
from app.features.provisioning.home_state import HomeState, home_state
from app.features.secure_score.reports.home_score import HomeScore, home_score, score_columns, score_of
from app.features.secure_score.reports.no_score import NoScore
from app.features.secure_score.reports.overview import ActionSummary, summary_of_actions
from app.features.secure_score.reports.score_summary import ScoreCard
from app.features.secure_score.sync.runs import RunLine
from app.features.tickets.types import KINDS, TicketKind
from app.features.tickets.views.outcomes import OutcomeSummary, ticket_results
from app.features.tickets.views.ticket_cards import TicketCard
from app.resources import ProductConfig

# Rows of the results card; the rest is on its own page, which the card links to.
RESULTS_SHOWN = 6


class HomeData:
    """What the cards of one request are loaded from. Reads that several cards share happen once."""

    def __init__(self, viewer: Viewer, config: ProductConfig) -> None:
        self.viewer = viewer
        self.tenant_id = config.shown_tenant_id
        # Of the ticket cards that will be loaded, so that one statement reads them with the state.
        self.kinds: tuple[TicketKind, ...] = ()
        # Whether the score will be loaded, and the state too, so that the same statement reads both.
        self.with_score = False
        self._config = config
        self._state: HomeState | None = None
        self._actions: tuple[ActionSummary | None] | None = None
        self._score: HomeScore | None = None

    async def state(self, session: Session) -> HomeState:
        """The connection, what provisioning misses, and the ticket cards of `kinds`."""
        if self._state is None:
            also = score_columns(self.tenant_id) if self.with_score and self._score is None else ()
            self._state = await home_state(session, self.kinds, also)
            if also:
                self._score = score_of(self._config, self._state.also)
        return self._state

    async def tickets(self, session: Session, kind: TicketKind) -> TicketCard:
        """One kind's counts and newest tickets. Raises NotFound without a connection."""
        state = await self.state(session)
        if state.connection is None:
            raise NotFound
        if kind not in state.cards:
            state = await home_state(session, (kind,))
        if kind not in state.cards:
            raise NotFound
        return state.cards[kind]

    async def actions(self, session: Session) -> ActionSummary | None:
        """The improvement actions in short; None while none has a score."""
        if self._actions is None:
            self._actions = (await summary_of_actions(session, self.tenant_id),)
        return self._actions[0]

    async def score(self, session: Session) -> HomeScore:
        """The score, or why there is none, and the newest import."""
        if self._score is None and self.with_score:
            await self.state(session)
        if self._score is None:
            self._score = await home_score(session, self._config)
        return self._score

    async def results(self, session: Session) -> OutcomeSummary:
        """Each ticket compared with the score."""
        state = await self.state(session)
        return await ticket_results(session, self.tenant_id, state.results_of, state.context)


@dataclass(frozen=True, kw_only=True)
class CardContent:
    """What a card's template gets as `page`. `has_plot` says that the page needs the chart script.

    `true_until` is when the card will say something else although nothing was written; None is midnight, when days change.
    """

    has_plot: bool = False
    true_until: datetime | None = None


@dataclass(frozen=True)
class ScoreContent(CardContent):
    """`nothing` says why there is no score; None exactly while there is one."""

    score: ScoreCard | None
    nothing: NoScore | None


@dataclass(frozen=True)
class ConnectContent(CardContent):
    """The invitation to connect; only a manager can accept it."""

    may_manage: bool


@dataclass(frozen=True)
class TicketsContent(CardContent):
    """One kind's tickets, with what the viewer may do."""

    title: Message
    card: TicketCard
    may_share: bool
    may_manage: bool


@dataclass(frozen=True)
class ResultsContent(CardContent):
    """What finished work brought; `shown` is the number of rows on the card."""

    results: OutcomeSummary
    shown: int
    may_share: bool


@dataclass(frozen=True)
class ActionsContent(CardContent):
    """The improvement actions in short; `nothing` says why there are none."""

    actions: ActionSummary | None
    nothing: NoScore | None


@dataclass(frozen=True)
class ImportsContent(CardContent):
    """The newest import; None before the first."""

    run: RunLine | None


class ShownWhile(StrEnum):
    """When a card can be shown; meanwhile it keeps its place in the person's order."""

    ALWAYS = "always"
    CONNECTED = "connected"
    HAS_TICKETS = "has_tickets"
    NOT_CONNECTED = "not_connected"


@dataclass(frozen=True)
class Card:
    """One card of the home page.

    `role` is the weakest role that sees it. A card that is not `is_usual` appears only for people who add it. A card that
    `refreshes` is asked for again by the open page, at `/cards/<name>`; provisioning may hide it until the ticket kind of
    the same name is ready. `topics` are those whose rows it shows (docs/decisions/0011-read-model.md).

    A card is kept and given to everyone of the same role, so it shows nothing of the viewer but what the role may do.
    """

    name: str
    title: Message
    template: str
    load: Callable[[HomeData, Session], Awaitable[CardContent]]
    topics: tuple[str, ...]
    role: Role = Role.VIEWER
    is_usual: bool = True
    is_wide: bool = False
    shown_while: ShownWhile = ShownWhile.ALWAYS
    refreshes: bool = False


async def _score(data: HomeData, session: Session) -> ScoreContent:
    score = await data.score(session)
    nothing = None if score.card else score.why_none
    return ScoreContent(score.card, nothing, has_plot=score.card is not None, true_until=score.true_until)


async def _connect(data: HomeData, _session: Session) -> ConnectContent:
    return ConnectContent(data.viewer.may_manage)


def _tickets_of(kind: TicketKind, title: Message) -> Callable[[HomeData, Session], Awaitable[CardContent]]:
    async def load(data: HomeData, session: Session) -> TicketsContent:
        card = await data.tickets(session, kind)
        viewer = data.viewer
        return TicketsContent(title, card, viewer.may_share, viewer.may_manage, true_until=card.true_until)

    return load


async def _results(data: HomeData, session: Session) -> ResultsContent:
    return ResultsContent(await data.results(session), RESULTS_SHOWN, data.viewer.may_share)


async def _actions(data: HomeData, session: Session) -> ActionsContent:
    actions = await data.actions(session)
    if actions is not None:
        return ActionsContent(actions, None)
    score = await data.score(session)
    return ActionsContent(None, score.why_none, true_until=score.true_until)


async def _imports(data: HomeData, session: Session) -> ImportsContent:
    score = await data.score(session)
    return ImportsContent(score.run, true_until=score.true_until)


TICKETS = tuple(f"tickets.{kind}" for kind in TicketKind)
SCORES = ("score", "plans")


def _ticket_card(kind: TicketKind, title: Message) -> Card:
    load = _tickets_of(kind, title)
    return Card(
        kind, title, "home/_ticket_card.html", load, (f"tickets.{kind}", "connection", "poll"),
        shown_while=ShownWhile.CONNECTED, refreshes=True,
    )  # fmt: skip


# The order here is the order on the page until a person changes it, and the order in the panel "Add cards".
CARDS = (
    Card("score", T("Microsoft Secure Score"), "home/_score_card.html", _score, SCORES),
    Card(
        "connect", T("Do you use ServiceNow?"), "home/_connect_card.html", _connect, (),
        shown_while=ShownWhile.NOT_CONNECTED,
    ),
    *(_ticket_card(kind, spec.card_title) for kind, spec in KINDS.items()),
    Card(
        "results", T("Tickets and results"), "home/_results_card.html", _results, (*TICKETS, *SCORES, "connection"),
        is_wide=True, shown_while=ShownWhile.HAS_TICKETS,
    ),
    Card("review", T("Actions to review"), "home/_review_card.html", _actions, SCORES, is_usual=False),
    Card("top", T("Top improvement actions"), "home/_top_card.html", _actions, SCORES, is_usual=False, is_wide=True),
    Card("categories", T("Breakdown by category"), "home/_categories_card.html", _actions, SCORES, is_usual=False),
    Card("imports", T("Imports"), "home/_imports_card.html", _imports, SCORES, Role.MANAGER, is_usual=False),
)  # fmt: skip
BY_NAME = {card.name: card for card in CARDS}
USUAL = tuple(card.name for card in CARDS if card.is_usual)


def wanted_cards(kept: Iterable[str] | None, viewer: Viewer) -> list[str]:
    """The names a person keeps (None: the usual ones), without repetitions, unknown names and cards of other roles."""
    names = USUAL if kept is None else kept
    return [name for name in dict.fromkeys(names) if name in BY_NAME and viewer.has(BY_NAME[name].role)]


def possible_cards(hidden: Collection[str], *, is_connected: bool, has_tickets: bool = False) -> list[str]:
    """The names of the cards that can be shown now; `hidden` are those whose provisioning is not complete.

    `has_tickets`: tickets of a connection that was removed are kept.
    """
    now = {ShownWhile.ALWAYS, ShownWhile.CONNECTED if is_connected else ShownWhile.NOT_CONNECTED}
    if is_connected or has_tickets:
        now.add(ShownWhile.HAS_TICKETS)
    return [card.name for card in CARDS if card.shown_while in now and not (is_connected and card.name in hidden)]


def addable_cards(wanted: Collection[str], possible: Collection[str], viewer: Viewer) -> list[Card]:
    """The cards that "Add cards" offers: possible now, allowed, and not on the page."""
    return [
        card for card in CARDS if card.name in possible and card.name not in wanted and viewer.has(card.role)
    ]  # fmt: skip
