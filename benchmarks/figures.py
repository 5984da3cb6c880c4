"""The figures that are published: their names, what they mean, their goals, and how they are printed. Measures nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

QUICK_NOTE = (
    "(quick: few records and short runs, to see that the measuring works; these figures are not for publication)"
)


@dataclass(frozen=True)
class Figure:
    """`part` is the measurement that prints it; `goal` is a sentence for people, empty where none is set."""

    part: str
    goal: str
    meaning: str


FIGURES = {
    "home_of_bare": Figure(
        "pages", "at least 0.25", "requests per second of the home page, as a share of the bare page's, 16 connections"
    ),
    "card_304_of_bare": Figure(
        "pages", "at least 0.5", "the same of an unchanged card, asked for with the ETag of the answer before"
    ),
    "card_200_of_bare": Figure("pages", "", "the same of a card that is sent each time"),
    "growth_home_1m": Figure(
        "growth", "at most 1.3", "home page: p95 at 1,000,000 tickets over p95 at 1,000, everything changed before each"
    ),
    "growth_card_1m": Figure("growth", "at most 1.3", "the same of the card of incidents"),
    "growth_tickets_1m": Figure("growth", "at most 1.3", "the same of the first page of the list of tickets"),
    "growth_search_1m": Figure(
        "growth",
        "at most 1.3",
        "the same of four searches in turn: a number, the beginning of half of all numbers, a frequent word, nothing found",
    ),
    "growth_actions_300k": Figure(
        "growth", "at most 1.3", "the same of the list of 1,000 actions, with 300,000 tickets' actions over with 1,000"
    ),
    "create_500_at_50ms_of_bare_client": Figure(
        "deliveries",
        "at most 1.1",
        "time to deliver 500 tickets, over the time of bare httpx with four calls in flight",
    ),
    "creates_per_second_at_0ms": Figure(
        "deliveries", "at least 100", "records per second that one worker process makes, first to last of 500"
    ),
    "create_50_every_tenth_429_of_clean": Figure(
        "deliveries", "at most 3", "time to deliver 50 where every tenth answer is 429, over the time without, at 50 ms"
    ),
    "poll_1000_unchanged_requests": Figure(
        "polls",
        "at most 2",
        "requests of one poll of 1,000 known tickets that did not change, mean of an hour of polls",
    ),
    "first_look_requests": Figure(
        "polls",
        "at most 2",
        "requests of the first poll after connecting, among 10,000 marked and 10,000 other records",
    ),
    "poll_busy_account_requests": Figure(
        "polls", "at most 2", "requests of one poll after the account made 5,000 other records within the last minute"
    ),
    "browser_home_lcp_ms": Figure(
        "browser", "", "Largest Contentful Paint of the home page in Chromium, nothing cached, milliseconds"
    ),
    "memory_web_mb": Figure("memory", "", "memory of the web process after the home page's load, MiB"),
    "memory_worker_mb": Figure("memory", "", "memory of the worker process after 500 deliveries, MiB"),
}


def number(value: float) -> str:
    """A value as it is printed: as many digits as a measurement deserves."""
    if math.isnan(value):
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 or value == 0 else 3
    return f"{value:.{digits}f}"


def say_figure(name: str, value: float) -> None:
    """Print one figure. Raises KeyError for a name that is not among FIGURES."""
    _ = FIGURES[name]
    print(f"figure {name} {number(value)}", flush=True)


def table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, words: int = 1) -> str:
    """A Markdown table; the columns after the first `words` hold numbers."""
    marks = tuple("---" if n < words else "---:" for n in range(len(headings)))
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, marks, *rows))
