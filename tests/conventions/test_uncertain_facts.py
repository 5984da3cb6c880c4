"""Each uncertain statement about ServiceNow names the switch of the sandbox that stands for it, or says why none can."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from sandbox.servicenow.switches import Switches
from tools.list_facts import FACTS_FOLDER, ROOT, Block, blocks

TEXT = (ROOT / FACTS_FOLDER / "servicenow.md").read_text(encoding="utf-8")
NOT_CONFIRMED = "not-confirmed-keep-configurable-or-test-on-a-real-instance"
# `[C]`, `[A docs; C inference]`, `[C, an inference from …]`; not the text of a link.
UNCERTAIN = re.compile(r"\[(?:[^\]\n]*[\s/;,])?[CU](?:[\s/;,][^\]\n]*)?\](?!\()")
TOLD = re.compile(r"\b(?:Switch|Switches|No switch|no switch): ")
# What stands behind "Switch:" up to the next full stop.
NAMED = re.compile(r"\bSwitch(?:es)?: ((?:`\w+`(?: \([^)]*\))?(?:, | and )?)+)")
LEGEND = ("| [C] |", "| [U] |", "A statement that is not certain")


def uncertain(text: str) -> list[Block]:
    return [
        block
        for block in blocks(text)
        if (UNCERTAIN.search(block.text) or (block.anchor == NOT_CONFIRMED and block.kind == "item"))
        and not block.text.startswith((*LEGEND, "All items here"))
    ]


def test_each_uncertain_statement_names_its_switch_or_says_why_there_is_none() -> None:
    untold = [f"{block.line}: {block.text[:90]}" for block in uncertain(TEXT) if not TOLD.search(block.text)]
    assert untold == []


def test_each_switch_that_a_fact_names_exists() -> None:
    known = {item.name for item in fields(Switches)}
    named = {name for found in NAMED.findall(TEXT) for name in re.findall(r"`(\w+)`", found)}
    assert len(named) > 25
    assert named - known == set()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("* It may be so. [C] public code", 1),
        ("* It is so [A], and perhaps [U].", 1),
        ("* It counts [A docs; C inference].", 1),
        ("* It is so [A/B]. See [C](#c).", 0),
        (f'<a id="{NOT_CONFIRMED}"></a>\n\n* Is it so?', 1),
    ],
)
def test_an_uncertain_statement_is_found(text: str, count: int) -> None:
    assert len(uncertain(text)) == count
