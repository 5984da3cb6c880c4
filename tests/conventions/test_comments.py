"""The product's code says why: at least three lines of comment per hundred lines of code."""

from __future__ import annotations

from tools.code_size import comments_per_hundred
from tools.code_sources import read_sources
from tools.measure_code import LEAST_COMMENTS, ROOT

CODE = "".join(f"value_{number} = {number}\n" for number in range(100))


def test_the_product_explains_itself() -> None:
    assert comments_per_hundred(read_sources(ROOT, ["app"])) >= LEAST_COMMENTS


def test_only_lines_with_an_explanation_count_as_comments() -> None:
    directives = "# fmt: off\nvalue = 1  # noqa: E501\nother = 2  # Not on a line of its own.\n"
    docstring = '"""A docstring is no comment.\n\n# Nor is this.\n"""\n'
    assert comments_per_hundred({"app/a.py": docstring + CODE + directives}) == 0
    assert comments_per_hundred({"app/a.py": CODE + "# Why it is a hundred.\n", "app/b.py": ""}) == 1


def test_too_few_comments_are_found() -> None:
    assert comments_per_hundred({"app/a.py": CODE + "# Why.\n# How come.\n"}) < LEAST_COMMENTS
