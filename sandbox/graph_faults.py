"""Faults that the Graph sandbox can be ordered to answer with, each for a counted number of calls. Sends nothing itself."""

from __future__ import annotations

from dataclasses import dataclass

# Fault name: its text in the console, which begins with the fact it reproduces (see
# docs/facts/microsoft-graph.md#7-edge-cases-our-importer-and-ui-must-survive).
GRAPH_FAULTS = {
    "throttled": "edge-6 – 429 with Retry-After in seconds",
    "throttled_date": "edge-6 – 429 with Retry-After as a date",
    "throttled_silently": "edge-6 – 429 without Retry-After",
    "unavailable": "edge-6 – 503 without Retry-After",
    "unavailable_later": "edge-6 – 503 with Retry-After in seconds",
    "partial": "edge-5 – 206 with a Warning of a provider",
    "web_page": "edge-10 – a proxy's web page with status 200",
    "cut_short": "edge-10 – JSON that ends in the middle",
    "not_json": "edge-10 – an example of the documentation, which is no JSON",
    "no_value": "edge-10 – an object without the member value",
    "forbidden": "edge-7 – 403 without the application permission",
    "token_expired": "edge-7 – 401 although the token is good",
    "elsewhere": "edge-3 – the next page is on another host",
    "itself": "edge-3 – the next page is this page",
    "empty": "edge-4 – an empty list",
    "bad_request": "edge-45 – 400 without a reason",
    "server_error": "edge-8 – 500",
}
MAX_TIMES = 100_000


@dataclass
class GraphFault:
    """A fault for the next `times` matching calls: one list (`what`), one page (from 1; 0 for any), one HTTP method."""

    name: str
    times: int = 1
    what: str = ""
    page: int = 0
    method: str = ""
    seconds: int = 7

    def __post_init__(self) -> None:
        if self.name not in GRAPH_FAULTS:
            raise ValueError(f"there is no fault named {self.name}")
        if not 1 <= self.times <= MAX_TIMES:
            raise ValueError(f"times must be between 1 and {MAX_TIMES}")

    def matches(self, name: str, what: str, page: int, method: str) -> bool:
        return self.name == name and self.what in ("", what) and self.page in (0, page) and self.method in ("", method)
