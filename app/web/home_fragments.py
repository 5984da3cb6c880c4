"""The home page in fragments: a frame for each person, and cards that everyone of the same role shares. Queries nothing itself.

Nothing of the person gets into a card: its template is rendered for a viewer without a name and with the same role.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from markupsafe import Markup

from app.core import clock
from app.core.database import Session
from app.core.errors import NotFound
from app.core.messages import Message, current_locale
from app.features.accounts.asked import Asked
from app.features.accounts.permissions import Viewer
from app.features.connection.connection_view import consent_notice, days_left
from app.features.provisioning.home_state import HomeState
from app.features.tickets.types import TicketKind
from app.resources import Resources
from app.web.fragments import Fragment, Fragments, Key
from app.web.home_cards import BY_NAME, SCORES, TICKETS, Card, HomeData, addable_cards, possible_cards, wanted_cards
from app.web.templating import Frame, render_with

# Between the pieces of a frame. Texts are escaped, so that none of them can hold it.
SPLIT = Markup("<!--split-->")
HAS_PLOT = "plot"
# What there was to show has gone since the request was asked about: the connection was removed in this moment.
GONE = "gone"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Arrangement:
    """Which cards one person wants, which of them can be shown now, and which could be added."""

    is_own: bool
    wanted: list[str]
    shown: list[Card]
    addable: list[Card]

    @property
    def names(self) -> list[str]:
        """The cards on the page, in order."""
        return [card.name for card in self.shown]


@dataclass(frozen=True)
class HomePage:
    """`missing` says once per finding of provisioning why a card is not shown. `is_own`: the person changed something.

    `consent` tells those who can renew it that it ends soon, or has ended. `split` stands where the frame is cut: around the
    plot's scripts, at the server's time, and at each card.
    """

    cards: Sequence[Card]
    addable: Sequence[Card]
    is_own: bool
    needs_attention: bool
    missing: Sequence[Message]
    consent: Message | None
    may_manage: bool
    has_worker: bool
    split: Markup = SPLIT


@dataclass(frozen=True)
class HomeBody:
    """A page's bytes, and a weak ETag that is the same as long as nothing but the server's time changes.

    https://www.rfc-editor.org/rfc/rfc9110#section-8.8.1
    """

    parts: tuple[bytes, ...]
    tag: str


def arranged(state: HomeState, asked: Asked) -> Arrangement:
    """What the person keeps. A card that cannot be shown now, such as a ticket card before connecting, keeps its place."""
    wanted = wanted_cards(asked.cards, asked.viewer)
    possible = possible_cards(
        state.missing.hidden, is_connected=state.connection is not None, has_tickets=state.has_tickets
    )
    shown = [BY_NAME[name] for name in wanted if name in possible]
    return Arrangement(asked.cards is not None, wanted, shown, addable_cards(wanted, possible, asked.viewer))


class HomeFragments:
    """What one request needs of the kept fragments, made where they are not there."""

    def __init__(self, kept: Fragments, resources: Resources, asked: Asked) -> None:
        self._kept, self._database, self._asked = kept, resources.database, asked
        self._data = HomeData(nameless(asked.viewer), resources.config)

    async def page(self) -> HomeBody:
        """The whole page of this person."""
        frame = await self._frame()
        return _joined(frame, await self._cards(frame.marks))

    def kept_page(self) -> HomeBody | None:
        """The same, if all of it is kept."""
        frame = self._kept.find(self._frame_key())
        cards = self._kept_cards(frame.marks) if frame is not None else None
        return None if frame is None or cards is None else _joined(frame, cards)

    def kept_card(self, card: Card) -> Fragment | None:
        """One card, if it is kept."""
        return self._kept.find(self._card_key(card))

    async def card(self, card: Card) -> Fragment:
        """One card alone. Raises NotFound where it cannot be shown."""
        (found,) = await self._cards([card.name])
        if GONE in found.marks:
            raise NotFound
        return found

    async def _frame(self) -> Fragment:
        key = self._frame_key()
        if (kept := self._kept.find(key)) is not None:
            return kept
        self._read_with_state(wanted_cards(self._asked.cards, self._asked.viewer))
        (made,) = await self._kept.get([key], self._make_frame)
        return made

    async def _cards(self, names: Sequence[str]) -> list[Fragment]:
        if (kept := self._kept_cards(names)) is not None:
            return kept
        self._read_with_state(names)
        return await self._kept.get([self._card_key(BY_NAME[name]) for name in names], self._make_cards)

    def _kept_cards(self, names: Sequence[str]) -> list[Fragment] | None:
        kept = [self._kept.find(self._card_key(BY_NAME[name])) for name in names]
        found = [card for card in kept if card is not None]
        return found if len(found) == len(kept) else None

    def _read_with_state(self, names: Sequence[str]) -> None:
        """What of these has to be made and is no list is read in the statement that reads the state."""
        made = [BY_NAME[name] for name in names if self._kept.find(self._card_key(BY_NAME[name])) is None]
        self._data.kinds = tuple(kind for kind in TicketKind if BY_NAME[kind] in made)
        self._data.with_score = any(card.topics == SCORES for card in made)

    def _versions(self, topics: Sequence[str]) -> tuple[tuple[str, int], ...]:
        return tuple((topic, self._asked.versions.get(topic, 0)) for topic in topics)

    def _card_key(self, card: Card) -> Key:
        return Key(card.name, (self._asked.viewer.role, current_locale()), self._versions(card.topics))

    def _frame_key(self) -> Key:
        viewer = self._asked.viewer
        person = viewer.person_id, viewer.display_name, viewer.email, viewer.role, self._asked.cards
        return Key(
            "frame",
            (*person, self._asked.has_worker, current_locale()),
            self._versions(("connection", *TICKETS)),
        )  # fmt: skip

    async def _make_frame(self, keys: Sequence[Key]) -> Mapping[Key, Fragment]:
        async with self._database.transaction() as session:
            state = await self._data.state(session)
        arrangement, viewer, connection = arranged(state, self._asked), self._asked.viewer, state.connection
        page = HomePage(
            cards=arrangement.shown,
            addable=arrangement.addable,
            is_own=arrangement.is_own,
            needs_attention=connection is not None and connection.status != "connected",
            missing=state.missing.sentences,
            consent=consent_notice(connection) if connection is not None and viewer.may_manage else None,
            may_manage=viewer.may_manage,
            has_worker=self._asked.has_worker,
        )
        text = render_with(Frame(viewer, "/", current_locale()), "home/page.html", page)
        fragment = Fragment(
            tuple(text.encode().split(SPLIT.encode())),
            until=next_day_of(connection.refresh_expires_at) if connection is not None else None,
            # Without a connection, the results card is there as long as tickets of an earlier one are.
            topics=frozenset({"connection"}) if connection is not None else None,
            marks=tuple(arrangement.names),
        )
        return dict.fromkeys(keys, fragment)

    async def _make_cards(self, keys: Sequence[Key]) -> Mapping[Key, Fragment | Exception]:
        made: dict[Key, Fragment | Exception] = {}
        while left := [key for key in keys if key not in made]:
            key = left[0]
            try:
                async with self._database.transaction() as session:
                    for key in left:
                        made[key] = await self._make_card(session, BY_NAME[key.name])
            # Of this card alone: others may be waited for by who does not want this one. It may have ended the transaction.
            except Exception as error:
                made[key] = error
        return made

    async def _make_card(self, session: Session, card: Card) -> Fragment:
        midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + DAY
        try:
            content = await card.load(self._data, session)
        except NotFound:
            # Not kept, and no error of a page whose other cards are there.
            return Fragment((b"",), until=clock.now(), marks=(GONE,))
        text = render_with(Frame(nameless(self._asked.viewer), "", current_locale()), card.template, content)
        until = midnight if content.true_until is None else min(midnight, content.true_until)
        return Fragment((text.encode(),), until=until, marks=(HAS_PLOT,) if content.has_plot else ())


def nameless(viewer: Viewer) -> Viewer:
    """A viewer with the same rights and nothing else, for what everyone with these rights is given."""
    return Viewer(person_id=UUID(int=0), oid="", tid="", display_name="", email="", role=viewer.role)


def next_day_of(end: datetime | None) -> datetime | None:
    """When a day less is left until this end, as `consent_notice` counts; None where nothing is left to count."""
    left = days_left(end)
    now = clock.now()
    if end is None or left is None or end <= now:
        return None
    return now + (end - now) % DAY


def _joined(frame: Fragment, cards: Sequence[Fragment]) -> HomeBody:
    head, plot, before_now, after_now, *between = frame.pieces
    if not any(HAS_PLOT in card.marks for card in cards):
        plot = b""
    now = str(int(clock.now().timestamp())).encode()
    parts = [head, plot, before_now, now, after_now]
    for card, following in zip(cards, between, strict=True):
        parts += (*card.pieces, following)
    return HomeBody(tuple(parts), f'W/"{_joined_tag([frame, *cards])}"')


def _joined_tag(fragments: Sequence[Fragment]) -> str:
    return sha256("".join(fragment.tag for fragment in fragments).encode()).hexdigest()[:32]
