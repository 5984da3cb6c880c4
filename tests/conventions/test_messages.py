"""Nothing decides by comparing a sentence that people read; a message that logic needs has a code."""

from __future__ import annotations

import pytest

from tools.code_messages import message_comparisons
from tools.code_sources import read_sources
from tools.measure_code import ROOT


@pytest.mark.thorough
def test_no_message_is_compared() -> None:
    assert message_comparisons(read_sources(ROOT, ["app"])) == []


@pytest.mark.parametrize(
    "comparison",
    [
        'error.message == "No token."',
        "error.message != TOKEN_REFUSED",
        "error.message in CAUSES.values()",
        "error.message not in (DENIED, causes.LOST)",
        "WORDS in str(error.message)",
        'error.message.message == "No token."',
        "connection.attention == AnswerLost.default.to_json()",
        'connection.attention["message"] == LOST.message',
        "row.problem == T('Not there.').to_json()",
        "[name for name, sentence in CAUSES.items() if sentence == error.message]",
        'error.message.startswith("No ")',
    ],
)
def test_a_compared_message_is_found(comparison: str) -> None:
    assert message_comparisons({"app/a.py": f"found = {comparison}\n"})


def test_a_comparison_with_a_message_constant_is_found_wherever_it_is_defined() -> None:
    sources = {
        "app/causes.py": 'UNCLEAR = T("Not clear.")\nCODE = "unclear"\n',
        "app/a.py": "from app.causes import CODE, UNCLEAR\n\nfound = why == UNCLEAR\nright = code == CODE\n",
        "app/b.py": 'UNCLEAR = "unclear"\nright = code == UNCLEAR\n',
    }
    assert message_comparisons(sources) == ["app/a.py:3: why == UNCLEAR"]


NAMES_OF_MESSAGES = """
def cause_of(problem: Message) -> Message:
    return problem

def circuit(rows, before: Message | None):
    found = [(cause_of(Message.from_json(row[0])), row[1]) for row in rows]
    reason, times = Counter(why for why, _ in found).most_common(1)[0]
    at = max(at for _, at in found)
    error_message = error.message
    return {comparison}
"""


@pytest.mark.parametrize(
    "comparison",
    [
        "[why for why, _ in found if why == reason]",
        "before == reason",
        "before != cause_of(row.problem)",
        "str(before) == str(reason)",
        "reason in [why for why, _ in found]",
        "len(set(why for why, _ in found))",
        "error_message == text",
    ],
)
def test_a_comparison_of_variables_that_hold_messages_is_found(comparison: str) -> None:
    """The first finding is the `Counter` that counts messages."""
    found = message_comparisons({"app/a.py": NAMES_OF_MESSAGES.format(comparison=comparison)})
    assert len(found) == 2, found


@pytest.mark.parametrize(
    "comparison",
    ["times == 3", "at == rows[0][1]", "before is None", "before.code == reason.code", "row.problem != reason"],
)
def test_a_comparison_of_what_stands_beside_a_message_is_allowed(comparison: str) -> None:
    found = message_comparisons({"app/a.py": NAMES_OF_MESSAGES.format(comparison=comparison)})
    assert len(found) == 1, found


def test_a_match_over_messages_is_found() -> None:
    assert message_comparisons({"app/a.py": 'match error.message:\n    case "No token.":\n        pass\n'})


@pytest.mark.parametrize(
    "comparison",
    [
        "connection.attention is None",
        "error.message is not None",
        "error.message.code == TOKEN_REFUSED",
        'connection.attention["code"] == TOKEN_REFUSED',
        "row.problem != problem.to_json()",
        "(self.message, self.values) == (other.message, other.values)",
        "error.status == 409",
    ],
)
def test_what_asks_for_no_sentence_is_allowed(comparison: str) -> None:
    assert message_comparisons({"app/a.py": f"found = {comparison}\n"}) == []
