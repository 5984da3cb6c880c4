"""A finding is stored as JSON and printed on the command line."""

from __future__ import annotations

from app.core.messages import T
from app.features.provisioning.finding import Finding, State

WHOLE = Finding(
    "asleep", State.PROBLEM, T("Called."), T("It sleeps, says %(who)s.", who="Fred"), T("Wake it up."), T("Menu"), T("Please.")
)  # fmt: skip


def test_a_stored_finding_comes_back_as_it_was() -> None:
    assert Finding.from_json(WHOLE.to_json()) == WHOLE
    bare = Finding("clock", State.GOOD, T("Compared."), T("They agree."))
    assert Finding.from_json(bare.to_json()) == bare


def test_the_command_line_shows_what_to_do_below_the_finding() -> None:
    assert str(WHOLE).splitlines() == [
        "[problem] asleep: It sleeps, says Fred.",
        "    What to do: Wake it up.",
        "    In ServiceNow: Menu",
        "    For its administrator: Please.",
    ]
    assert str(Finding("clock", State.GOOD, T("Compared."), T("They agree."))) == "[good] clock: They agree."


def test_only_a_problem_needs_a_person() -> None:
    assert WHOLE.is_problem
    assert not Finding("clock", State.NOTE, T("Compared."), T("Off.")).is_problem
