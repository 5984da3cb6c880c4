"""The tickets of one page of the list, and of a search, in one statement of bounded cost. Changes nothing.

Without a search, a page is read off the index of the order, or merged from those of its classes. A search takes three looks:

- if few tickets pass the filters, at all of these;
- else at the nearest ones in the list's order, which hold what is frequent;
- and at those that the index of grams names, which are all of what is rare.

None of them sorts by the list's order what the index of grams finds: for a frequent word, such a plan took 49 s.

What is said of the number follows from the newest tickets and the index alone, so that it is the same on each page.
"""

# ruff: noqa: S608 - SQL is put together of constants of this module alone; values are bound.
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Row, column, text

from app.core.database import Session
from app.features.tickets.models import Ticket
from app.features.tickets.table_triggers import SEPARATOR
from app.features.tickets.views.list_place import NEWEST, OLDEST, Direction, ListPlace
from app.features.tickets.views.ticket_classes import TicketClass

PAGE_SIZE = 50
# Beyond, a search says only that there are more.
MOST_COUNTED = 1_000
# Letters that are searched for, as many as the search field takes.
LONGEST_SEARCH = 200
# The last letter of Latin (Extended-B). table_triggers.GRAMS has pairs of the letters beyond it.
LAST_LATIN = "\u024f"
# The columns of a line. A ticket has forty more, with texts and records.
LINE_COLUMNS = (
    Ticket.id, Ticket.connection_id, Ticket.kind, Ticket.number, Ticket.name, Ticket.state, Ticket.state_label,
    Ticket.delivery, Ticket.priority, Ticket.remote_priority, Ticket.due_date, Ticket.created_at,
    Ticket.requested_by_name, Ticket.verified_at, Ticket.state_since, Ticket.absence,
)  # fmt: skip
CLASSES = (
    "unnest(CAST(:connections AS uuid[]), CAST(:kinds AS text[]), CAST(:deliveries AS text[]), CAST(:states AS text[]),"
    " CAST(:shown AS boolean[])) AS c (connection_id, kind, delivery, state, shown)"
)
LIKES = "s.search_text LIKE lower(:pattern)"
IS_OF_CLASS = (
    "t.connection_id = c.connection_id AND t.kind = c.kind AND t.delivery = c.delivery AND t.state = c.state"
    " AND (t.absence = '') = c.shown"
)
COLUMNS_OF_CLASS = "t.id, t.created_at, t.connection_id, t.kind, t.delivery, t.state, t.absence"


@dataclass(frozen=True)
class Bounds:
    """How many tickets a search looks at, at most: the nearest in the list's order, and those that the index names.

    What is in one ticket of eighty fills a page from the nearest ones; of a million, the index names what is rarer. It is not
    asked for a text that is `frequent` among the nearest: it would name a large part of all tickets.
    """

    nearest: int = 4_000
    nearest_of_classes: int = 2_000
    named: int = 20_000
    frequent: int = 200


BOUNDS = Bounds()


@dataclass(frozen=True)
class PageQuery:
    """`classes` are those that pass the filters; None is every ticket. `skipped` is how many tickets to pass over."""

    classes: Sequence[TicketClass] | None
    batch_id: UUID | None
    search: str
    place: ListPlace
    skipped: int = 0


@dataclass(frozen=True)
class FoundTickets:
    """The rows (LINE_COLUMNS) of one page, newest first, and whether more follow in the direction it was read.

    `total` is None where only the tally knows it. If not `is_counted`, there are that many at least. If not `is_whole`,
    tickets that belong on the page may be missing, because a search did not look at them.
    """

    rows: list[Row[*tuple[Any, ...]]]
    goes_on: bool
    total: int | None = None
    is_counted: bool = True
    is_whole: bool = True


def searched(text_: str) -> str:
    """The text as it is searched for: what stands between fields is in none, and PostgreSQL stores no NUL."""
    return text_.replace(SEPARATOR, "").replace("\0", "")[:LONGEST_SEARCH].strip()


def has_grams(search: str) -> bool:
    """Whether the index of grams can find the text: two letters are enough beyond Latin, where words are short."""
    return len(search) > 2 or (len(search) == 2 and all(letter > LAST_LATIN for letter in search + search.lower()))


async def find_page(
    session: Session, query: PageQuery, total: int, bounds: Bounds = BOUNDS
) -> tuple[FoundTickets, PageQuery]:
    """The page, or the one at the end that it lies beyond; and what was asked for that. `total`: tickets in the classes."""
    is_small = total <= bounds.nearest
    queries = [query]
    sql = _statement(query, _sources(query, bounds, is_small=is_small))
    if (instead := _instead(query)) is not None:
        other, least = instead
        queries.append(other)
        # In the same statement. PostgreSQL looks at the condition first, and reads nothing for what does not pass.
        sql = (
            f"WITH asked AS MATERIALIZED ({sql}),"
            f" instead AS MATERIALIZED ({_statement(other, _sources(other, bounds, is_small=is_small), attempt=1)})"
            f" SELECT * FROM asked UNION ALL SELECT * FROM instead WHERE (SELECT count(id) FROM asked) < {least}"
        )
    counts = [column(name, BigInteger) for name in ("attempt", "newest", "near", "named", "found")]
    answer = list(await session.execute(text(sql).columns(*counts, *LINE_COLUMNS), _values(query)))
    attempt = max(row.attempt for row in answer)
    return _found([row for row in answer if row.attempt == attempt], queries[attempt], bounds), queries[attempt]


def _instead(query: PageQuery) -> tuple[PageQuery, int] | None:
    """What is shown where fewer tickets than this number are found."""
    if query.place.direction is Direction.AFTER:
        # The newest tickets, so that the first page is as long as any other.
        return replace(query, place=NEWEST), PAGE_SIZE
    if query.skipped or query.place.direction is Direction.BEFORE:
        return replace(query, place=OLDEST, skipped=0), 1
    return None


def _found(answer: Sequence[Row[*tuple[Any, ...]]], query: PageQuery, bounds: Bounds) -> FoundTickets:
    newest, near, named, found = answer[0][1:5]
    rows = [row for row in answer if row.id is not None]
    rows.sort(key=lambda row: (row.created_at, row.id), reverse=not query.place.is_ascending)
    page = rows[:PAGE_SIZE]
    if query.place.is_ascending:
        page.reverse()
    goes_on = len(rows) > PAGE_SIZE
    if named is None:
        return FoundTickets(page, goes_on, found)
    is_rare = newest <= bounds.frequent
    # Of much that was found near, the index was not asked.
    has_all = has_grams(query.search) and (is_rare or near <= bounds.frequent) and named < bounds.named
    is_whole = has_all or near > PAGE_SIZE + query.skipped
    return FoundTickets(page, goes_on, max(found if is_rare else newest, len(page)), has_all and is_rare, is_whole)


@dataclass(frozen=True)
class _Sources:
    """Common table expressions, what the page is taken from, and the four counts (SQL; NULL where there is none).

    `newest` and `near` are of what was found among the nearest tickets of the list's beginning and of the page's. `named` is
    of those that the index named, and `found` of all that are known to pass wherever the page begins.
    """

    tables: str
    source: str
    newest: str = "NULL"
    near: str = "NULL"
    named: str = "NULL"
    found: str = "NULL"


def _sources(query: PageQuery, bounds: Bounds, *, is_small: bool) -> _Sources:
    if query.batch_id is not None:
        # A bulk share holds a thousand tickets at most, so all of it is read, and before its classes are looked at: of a table
        # that was never analyzed, PostgreSQL reads the classes instead, which hold every ticket.
        of_batch = f"of_batch AS MATERIALIZED (SELECT {COLUMNS_OF_CLASS} FROM ticket t WHERE t.batch_id = :batch)"
        tables = f"SELECT t.id, t.created_at FROM of_batch t{_of_classes(query)}"
        if query.search:
            tables += f" CROSS JOIN LATERAL ({SEARCH_TEXT.format('t.id')}) AS s WHERE {LIKES}"
        tables = f"{of_batch}, members AS MATERIALIZED ({tables})"
        return _Sources(tables, "members", found="(SELECT count(*) FROM members)")
    if not query.search:
        return _Sources(f"members AS ({_walk(query, PAGE_SIZE + 1 + query.skipped)})", "members")
    if is_small:
        everywhere = PageQuery(query.classes, None, query.search, ListPlace())
        tables = _search_walk(everywhere, bounds.nearest)
        return _Sources(f"members AS MATERIALIZED ({tables})", "members", found="(SELECT count(*) FROM members)")
    nearest = bounds.nearest if query.classes is None else bounds.nearest_of_classes
    near = f"near AS MATERIALIZED ({_search_walk(query, nearest)} LIMIT {MOST_COUNTED + 1})"
    newest = "newest AS (SELECT id FROM near)"
    if query.place != NEWEST:
        of_newest = _search_walk(replace(query, place=NEWEST), nearest)
        newest = f"newest AS MATERIALIZED ({of_newest} LIMIT {MOST_COUNTED + 1})"
    count_near, count_newest = "(SELECT count(*) FROM near)", "(SELECT count(*) FROM newest)"
    if not has_grams(query.search):
        return _Sources(f"{near}, {newest}", "near", count_newest, count_near, named="0", found=count_newest)
    named = (
        "named AS MATERIALIZED (SELECT ticket_id AS id, created_at, search_text FROM ticket_search"
        f" WHERE grams(search_text) @> {GRAMS}"
        f" AND ({count_near} <= {bounds.frequent} OR {count_newest} <= {bounds.frequent}) LIMIT {bounds.named})"
    )
    probe = ""
    if query.classes is not None:
        # LIMIT keeps the plan at one probe for each: it would else read all tickets to join them.
        probe = f" CROSS JOIN LATERAL (SELECT {COLUMNS_OF_CLASS} FROM ticket t WHERE t.id = s.id LIMIT 1) AS t"
        probe += _of_classes(query)
    found = f"found AS MATERIALIZED (SELECT s.id, s.created_at FROM named s{probe} WHERE {LIKES})"
    both = "(SELECT id, created_at FROM near UNION SELECT id, created_at FROM found) AS both_looks"
    return _Sources(
        ", ".join((near, newest, named, found)),
        both,
        count_newest,
        count_near,
        named="(SELECT count(*) FROM named)",
        found="(SELECT count(*) FROM (SELECT id FROM newest UNION SELECT id FROM found) AS known)",
    )


# As a subquery, so that the plan does not depend on how frequent they are.
GRAMS = "(SELECT grams(lower(:search)))"
# LIMIT keeps the plan at one probe for each ticket.
SEARCH_TEXT = "SELECT search_text FROM ticket_search s WHERE s.ticket_id = {} LIMIT 1"


def _of_classes(query: PageQuery) -> str:
    return "" if query.classes is None else f" JOIN {CLASSES} ON {IS_OF_CLASS}"


def _statement(query: PageQuery, sources: _Sources, attempt: int = 0) -> str:
    """The tickets of a page, one more if more follow, in any order."""
    place = query.place
    columns = ", ".join(f"t.{one.key}" for one in LINE_COLUMNS)
    return (
        f"WITH {sources.tables}"
        f" SELECT {attempt} AS attempt, counts.*, {columns}"
        # Without a ticket, the counts are still told.
        f" FROM (SELECT {sources.newest} AS newest, {sources.near} AS near, {sources.named} AS named,"
        f" {sources.found} AS found) AS counts"
        f" LEFT JOIN (SELECT id, created_at FROM {sources.source}{_beyond(place, 'WHERE')}"
        f" ORDER BY {_order(place)} LIMIT {PAGE_SIZE + 1} OFFSET {query.skipped}) AS page ON true"
        " LEFT JOIN ticket t ON t.id = page.id"
    )


def _order(place: ListPlace, of: str = "", id_: str = "id") -> str:
    down = "" if place.is_ascending else " DESC"
    return f"{of}created_at{down}, {of}{id_}{down}"


def _beyond(place: ListPlace, word: str, id_: str = "id") -> str:
    if place.created_at is None:
        return ""
    return f" {word} (created_at, {id_}) {'>' if place.is_ascending else '<'} (:created_at, :ticket_id)"


def _walk(query: PageQuery, most: int) -> str:
    """Id and moment of the first tickets from the place on, each read off an index."""
    place = query.place
    if query.classes is None:
        beyond = _beyond(place, "WHERE")
        return f"SELECT id, created_at FROM ticket{beyond} ORDER BY {_order(place)} LIMIT {most}"
    return (
        f"SELECT t.id, t.created_at FROM {CLASSES} CROSS JOIN LATERAL (SELECT id, created_at FROM ticket t"
        f" WHERE {IS_OF_CLASS}{_beyond(place, 'AND')} ORDER BY {_order(place)} LIMIT {most}) AS t"
        f" ORDER BY {_order(place, 't.')} LIMIT {most}"
    )


def _search_walk(query: PageQuery, most: int) -> str:
    """Of the first tickets from the place on, those that hold the text."""
    place = query.place
    if query.classes is None:
        walk = (
            "SELECT ticket_id AS id, created_at, search_text FROM ticket_search"
            f"{_beyond(place, 'WHERE', 'ticket_id')} ORDER BY {_order(place, id_='ticket_id')} LIMIT {most}"
        )
        return f"SELECT s.id, s.created_at FROM ({walk}) AS s WHERE {LIKES}"
    return (
        f"SELECT w.id, w.created_at FROM ({_walk(query, most)}) AS w"
        f" CROSS JOIN LATERAL ({SEARCH_TEXT.format('w.id')}) AS s WHERE {LIKES}"
    )


def _values(query: PageQuery) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if query.classes is not None:
        values = {
            "connections": [one.connection_id for one in query.classes],
            "kinds": [one.kind for one in query.classes],
            "deliveries": [one.delivery for one in query.classes],
            "states": [one.state for one in query.classes],
            "shown": [one.shown for one in query.classes],
        }
    return values | {
        "batch": query.batch_id,
        "search": query.search,
        # % and _ are characters to find here, not patterns.
        "pattern": "%" + re.sub(r"([%_\\])", r"\\\1", query.search) + "%",
        "created_at": query.place.created_at,
        "ticket_id": query.place.ticket_id,
    }
