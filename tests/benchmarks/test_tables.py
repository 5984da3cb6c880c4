"""The measurements' tables: ratios to ours, by task and latency; and the parts that the command line offers."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.__main__ import PARTS
from benchmarks.table import Line, as_markdown


def test_each_client_is_compared_with_ours_at_the_same_task_and_latency() -> None:
    lines = [
        Line("refresh", 0, "ours", 2, 0, 0, 0.5),
        Line("refresh", 50, "ours", 2, 0, 0, 1.0),
        Line("create", 0, "ours", 0, 0, 0, 0.0),
        Line("refresh", 0, "PySNC", 10, 1, 3, 2.0),
        Line("refresh", 50, "PySNC", 20, 1, 3, 2.0),
        Line("create", 0, "PySNC", 20, 1, 3, 2.0),
    ]
    rows = as_markdown(lines).splitlines()[2:]
    assert [row.split(" | ")[:3] for row in rows] == [
        ["| refresh", "0 ms", "ours"],
        ["| refresh", "0 ms", "PySNC"],
        ["| refresh", "50 ms", "ours"],
        ["| refresh", "50 ms", "PySNC"],
        ["| create", "0 ms", "ours"],
        ["| create", "0 ms", "PySNC"],
    ]
    assert [row.split(" | ")[-2:] for row in rows] == [
        ["1.0", "1.0 |"], ["5.0", "4.0 |"], ["1.0", "1.0 |"], ["10.0", "2.0 |"], ["–", "– |"], ["–", "– |"],
    ]  # fmt: skip


def test_a_part_that_is_not_there_is_refused() -> None:
    assert "servicenow" in PARTS
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nothing"], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 2
    assert "there is no part nothing" in ran.stderr
