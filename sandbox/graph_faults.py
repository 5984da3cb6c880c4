"""Faults that the Graph sandbox can be ordered to answer with, each for a counted number of calls. Sends nothing itself."""

from __future__ import annotations

from dataclasses import dataclass

# name: what the console says; the number is the fact sheet's edge case.
GRAPH_FAULTS = {
    "throttled": "6 – 429 with Retry-After in seconds",
    "throttled_date": "6 – 429 with Retry-After as a date",
    "throttled_silently": "6 – 429 without Retry-After",
    "unavailable": "6 – 503 without Retry-After",
    "unavailable_later": "6 – 503 with Retry-After in seconds",
    "partial": "5 – 206 with a Warning of a provider",
    "web_page": "10 – a proxy's web page with status 200",
    "cut_short": "10 – JSON that ends in the middle",
    "not_json": "10 – an example of the documentation, which is no JSON",
    "no_value": "10 – an object without the member value",
    "forbidden": "7 – 403 without the application permission",
    "token_expired": "7 – 401 although the token is good",
    "elsewhere": "3 – the next page is on another host",
    "itself": "3 – the next page is this page",
    "empty": "4 – an empty list",
    "bad_request": "45 – 400 without a reason",
    "server_error": "8 – 500",
}
MOST = 100_000


@dataclass
class GraphFault:
    """Trouble for the next `times` fitting calls: of one list (`what`), one page of it (from 1; 0 for any), one method."""

    name: str
    times: int = 1
    what: str = ""
    page: int = 0
    method: str = ""
    seconds: int = 7

    def __post_init__(self) -> None:
        if self.name not in GRAPH_FAULTS:
            raise ValueError(f"there is no fault named {self.name}")
        if not 1 <= self.times <= MOST:
            raise ValueError(f"times must be between 1 and {MOST}")

    def fits(self, name: str, what: str, page: int, method: str) -> bool:
        """Whether it strikes this call."""
        return self.name == name and self.what in ("", what) and self.page in (0, page) and self.method in ("", method)
