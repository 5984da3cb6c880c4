"""The settings of roles stand in README.md and .env.example as app/settings.py has them, and only where they are written."""

from __future__ import annotations

import re

from tools.list_roles import BEGIN, END, EXAMPLE, README, render_example, render_readme, role_settings


def test_readme_and_example_are_current() -> None:
    assert render_readme(README.read_text(encoding="utf-8")) == README.read_text(encoding="utf-8"), "run `make roles`"
    assert render_example(EXAMPLE.read_text(encoding="utf-8")) == EXAMPLE.read_text(encoding="utf-8"), (
        "run `make roles`"
    )


def test_a_setting_shows_roles_of_entra_id_by_name_and_app_roles_by_value() -> None:
    default, meaning = role_settings()["SHARER_ROLES"]
    assert default == "Security Operator, `SecurityCenter.Share`"
    assert meaning.endswith("share actions as tickets.")


def test_only_the_table_between_the_marks_is_written() -> None:
    written = render_readme(f"before\n\n{BEGIN}\nearlier\n{END}\n\nafter\n")
    assert written.startswith(f"before\n\n{BEGIN}\n\n| Setting |")
    assert written.endswith(f" |\n\n{END}\n\nafter\n")
    assert "earlier" not in written


def test_the_example_has_one_line_for_each_role_and_keeps_the_others() -> None:
    written = render_example("#PORT=1\n#OLD_ROLES=\n#MANAGER_ROLES=\n#LOG_JSON=true\n")
    assert written == "#PORT=1\n#MANAGER_ROLES=\n#SHARER_ROLES=\n#VIEWER_ROLES=\n#LOG_JSON=true\n"


def test_nothing_else_in_the_readme_names_a_setting_of_a_role() -> None:
    text = README.read_text(encoding="utf-8")
    outside = text.partition(BEGIN)[0] + text.partition(END)[2]
    assert not re.findall(r"[A-Z]+_ROLES", outside)
