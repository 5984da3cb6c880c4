"""The list of the home page's cards: title, loader, template and audience of each. Holds no route and no layout."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.core.database import Session
from app.core.messages import Message, T
from app.features.accounts.permissions import Role, Viewer
from app.features.connection.active_connection import active_connection
from app.features.provisioning.readiness import MissingSetup, connection_and_missing
from app.features.secure_score.reports.no_score import NoScore, why_no_score
from app.features.secure_score.reports.overview import ActionSummary, summary_of_actions
from app.features.secure_score.reports.score_summary import ScoreCard, score_card
from app.features.secure_score.sync.runs import RunLine, list_runs
from app.features.tickets.polling.poll_status import PollStatus, poll_status
from app.features.tickets.types import KINDS, TicketKind
from app.features.tickets.views.outcomes import OutcomeSummary, connection_with_kept_tickets, ticket_results
from app.features.tickets.views.ticket_cards import TicketCard, ticket_cards
from app.resources import ProductConfig

# Rows of the results card; the rest is on its own page, which the card links to.
RESULTS_SHOWN = 6


class HomeData:
    """What the cards of one request are loaded from. Reads that several cards share happen once."""

    def __init__(self, session: Session, viewer: Viewer, config: ProductConfig) -> None:
        self.session = session
        self.viewer = viewer
        self.tenant_id = config.shown_tenant_id
        self.kinds: tuple[TicketKind, ...] = ()
        self.missing = MissingSetup()
        self.has_tickets = False
        self._config = config
        self._poll: PollStatus | None = None
        self._tickets: dict[str, TicketCard] | None = None
        self._actions: tuple[ActionSummary | None] | None = None
        self._no_score: NoScore | None = None

    async def read_setup(self) -> None:
        """Find the connection, and what provisioning misses, for the whole page."""
        self.connection, self.missing = await connection_and_missing(self.session)
        if self.connection is None:
            self.has_tickets = await connection_with_kept_tickets(self.session) is not None

    async def read_connection(self) -> None:
        """Find the connection alone, for one card's refresh: it happens every 15 seconds in every open browser."""
        self.connection = await active_connection(self.session)

    async def poll(self) -> PollStatus:
        """How fresh the tickets' states are."""
        if self._poll is None:
            self._poll = await poll_status(self.session, self.connection)
        return self._poll

    async def tickets(self, kind: TicketKind) -> TicketCard:
        """One kind's counts and newest tickets; every kind in `kinds` is read by the same statements."""
        if self._tickets is None:
            if self.connection is None:
                raise LookupError("A ticket card is shown only with a connection")
            found = await ticket_cards(self.session, self.connection, await self.poll(), self.kinds)
            self._tickets = {card.kind: card for card in found}
        return self._tickets[kind]

    async def actions(self) -> ActionSummary | None:
        """The improvement actions in short; None while none has a score."""
        if self._actions is None:
            self._actions = (await summary_of_actions(self.session, self.tenant_id),)
        return self._actions[0]

    async def no_score(self) -> NoScore:
        """Why there is no score."""
        if self._no_score is None:
            self._no_score = await why_no_score(self.session, self._config)
        return self._no_score

    async def results(self) -> OutcomeSummary:
        """Each ticket compared with the score."""
        connection = self.connection or await connection_with_kept_tickets(self.session)
        return await ticket_results(self.session, self.tenant_id, connection)


@dataclass(frozen=True, kw_only=True)
class CardContent:
    """What a card's template gets as `page`. `has_plot` says that the page needs the chart script."""

    has_plot: bool = False


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
    the same name is ready.
    """

    name: str
    title: Message
    template: str
    load: Callable[[HomeData], Awaitable[CardContent]]
    role: Role = Role.VIEWER
    is_usual: bool = True
    is_wide: bool = False
    shown_while: ShownWhile = ShownWhile.ALWAYS
    refreshes: bool = False


async def _score(data: HomeData) -> ScoreContent:
    score = await score_card(data.session, data.tenant_id)
    return ScoreContent(score, None if score else await data.no_score(), has_plot=score is not None)


async def _connect(data: HomeData) -> ConnectContent:
    return ConnectContent(data.viewer.may_manage)


def _tickets_of(kind: TicketKind, title: Message) -> Callable[[HomeData], Awaitable[CardContent]]:
    async def load(data: HomeData) -> TicketsContent:
        card = await data.tickets(kind)
        return TicketsContent(title, card, data.viewer.may_share, data.viewer.may_manage)

    return load


async def _results(data: HomeData) -> ResultsContent:
    return ResultsContent(await data.results(), RESULTS_SHOWN, data.viewer.may_share)


async def _actions(data: HomeData) -> ActionsContent:
    actions = await data.actions()
    return ActionsContent(actions, None if actions else await data.no_score())


async def _imports(data: HomeData) -> ImportsContent:
    return ImportsContent(next(iter(await list_runs(data.session, data.tenant_id, limit=1)), None))


def _ticket_card(kind: TicketKind, title: Message) -> Card:
    load = _tickets_of(kind, title)
    return Card(
        kind, title, "home/_ticket_card.html", load, shown_while=ShownWhile.CONNECTED, refreshes=True
    )  # fmt: skip


# The order here is the order on the page until a person changes it, and the order in the panel "Add cards".
CARDS = (
    Card("score", T("Microsoft Secure Score"), "home/_score_card.html", _score),
    Card(
        "connect", T("Do you use ServiceNow?"), "home/_connect_card.html", _connect,
        shown_while=ShownWhile.NOT_CONNECTED,
    ),
    *(_ticket_card(kind, spec.card_title) for kind, spec in KINDS.items()),
    Card(
        "results", T("Tickets and results"), "home/_results_card.html", _results,
        is_wide=True, shown_while=ShownWhile.HAS_TICKETS,
    ),
    Card("review", T("Actions to review"), "home/_review_card.html", _actions, is_usual=False),
    Card("top", T("Top improvement actions"), "home/_top_card.html", _actions, is_usual=False, is_wide=True),
    Card("categories", T("Breakdown by category"), "home/_categories_card.html", _actions, is_usual=False),
    Card("imports", T("Imports"), "home/_imports_card.html", _imports, Role.MANAGER, is_usual=False),
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
