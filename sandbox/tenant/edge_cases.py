"""Switches for the edge cases of Graph's data. Describes them; `malformed` applies them.

The cases are those of docs/facts/microsoft-graph.md#7-edge-cases-our-importer-and-ui-must-survive.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.toggles import Toggles, toggle

SCORES, PROFILES, WRITING, SERVICE = ("Scores", "Controls", "Writing back", "The service")
COMPARISONS = ("usual", "minus_one", "minus_one_text", "old", "reversed", "bare", "none", "missing")


@dataclass
class EdgeCases(Toggles):
    """Edge cases of the tenant's data, in effect until set back."""

    no_score_yet: bool = toggle(SCORES, "edge-4", "The tenant has no snapshot yet: an empty list", default=False)
    extra_members: bool = toggle(SCORES, "edge-11", "Unknown members at every level", default=False)
    numbers_as_text: bool = toggle(SCORES, "edge-12", "Points and percentages are texts, such as 0.0", default=False)
    unknown_scores: str = toggle(
        SCORES, "edge-12", "Every fifth control's score is no number", default="", choices=("", "null", "n/a")
    )
    no_control_scores: bool = toggle(SCORES, "edge-13", "The member controlScores is absent", default=False)
    zero_totals: bool = toggle(SCORES, "edge-13", "Every total is the text 0", default=False)
    unreadable_total: bool = toggle(
        SCORES, "1.2", "The newest day's total is a text with a comma, such as 289,0", default=False
    )
    all_zero: bool = toggle(SCORES, "1.2", "On the newest day every action and the total are at 0", default=False)
    not_scored: str = toggle(
        SCORES, "1.3", "Controls marked NotScored, with 0 points of 0, e.g. OneAdmin,RoleOverlap", default=""
    )
    renamed: str = toggle(
        SCORES, "1.4", "Controls that go on under a numbered id (11770.…) from the newest day on", default=""
    )
    max_zero: bool = toggle(SCORES, "edge-14", "The tenant's and one control's maximum is 0", default=False)
    no_percentages: bool = toggle(SCORES, "edge-15", "scoreInPercentage is absent", default=False)
    sum_differs: bool = toggle(SCORES, "edge-16", "The controls' points do not add up to the score", default=False)
    above_max: bool = toggle(SCORES, "edge-17", "One control has more points than its maximum", default=False)
    comparisons: str = toggle(
        SCORES, "edge-18", "The comparison with others, in its many shapes", default="usual", choices=COMPARISONS
    )
    double_day: bool = toggle(SCORES, "edge-19", "The newest day comes twice, under two ids", default=False)
    odd_times: bool = toggle(
        SCORES, "edge-20", "lastSynced lies ahead, weeks back, or is null; fractions of seconds", default=False
    )
    absurd_counts: bool = toggle(SCORES, "edge-21", "User counts that cannot be", default=False)
    other_tenant: bool = toggle(SCORES, "edge-22", "The body is another tenant's", default=False)
    appeared: bool = toggle(SCORES, "edge-28", "A control appears in the newest snapshot", default=False)
    stale_days: int = toggle(
        SCORES, "1.8", "The newest snapshots that are missing, as when Microsoft makes none", default=0
    )
    vanished: str = toggle(
        SCORES, "edge-28", "Controls that are gone from the newest snapshot and the catalogue", default=""
    )

    padding: int = toggle(PROFILES, "edge-23", "So many more controls in both lists, for measuring", default=0)
    odd_ids: bool = toggle(
        PROFILES,
        "edge-27",
        "Ids with blanks, dots, slashes and signs, and two that differ by case alone",
        default=False,
    )
    deprecated: str = toggle(PROFILES, "edge-29", "Controls marked deprecated, e.g. OneAdmin,RoleOverlap", default="")
    hostile_texts: bool = toggle(
        PROFILES,
        "edge-32",
        "A control with scripts, odd links, a title of blanks and right-to-left text",
        default=False,
    )
    odd_states: bool = toggle(
        PROFILES, "edge-42", "State updates that are null, empty, out of order or of unknown states", default=False
    )

    writes_hidden: bool = toggle(
        WRITING, "edge-46", "What was written is not shown until this is off again", default=False
    )
    writes_refused: bool = toggle(WRITING, "edge-45", "Every write is refused with a plain 400", default=False)
    reviewed_lost: bool = toggle(WRITING, "1.5", "A state Reviewed falls back to Default", default=False)

    granted: str = toggle(
        SERVICE, "edge-7", "Application permissions consented to; empty: the token has no roles",
        default="SecurityEvents.Read.All,SecurityEvents.ReadWrite.All",
    )  # fmt: skip
    secret_expired: bool = toggle(
        SERVICE, "2.3", "The client secret has expired: every grant is refused", default=False
    )
    page_size: int = toggle(SERVICE, "1.6", "Items on a page", default=200)
    most_at_once: int = toggle(SERVICE, "edge-6", "More calls at once than this are 429 (0: no limit)", default=0)
    latency_ms: int = toggle(SERVICE, "edge-6", "Added to every answer, in milliseconds", default=0)
