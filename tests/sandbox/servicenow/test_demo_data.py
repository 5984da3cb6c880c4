"""Demo data: off by default; the keys that other people's suites look up; added once."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.__main__ import main
from sandbox.servicenow.demo_data import ADMIN, ADMIN_ROLE, FINANCE, FINANCE_HEAD, PROBLEM_ADMIN
from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.instance_settings import ServiceNowSandbox


def started(file: Path | None = None, *, demo_data: bool = True) -> SandboxInstance:
    settings = ServiceNowSandbox("id", "secret", ("http://127.0.0.1:1/",), "password", file, demo_data=demo_data)
    return SandboxInstance.start(settings)


def test_a_new_instance_has_none_of_it() -> None:
    instance = started(demo_data=False)
    assert instance.store.get("sys_user", ADMIN) is None
    assert not list(instance.store.rows("problem"))


def test_the_records_that_suites_look_up_are_there() -> None:
    store = started().store
    admin = store.get("sys_user", ADMIN) or {}
    assert (admin["user_name"], admin["time_zone"], admin["department"]) == ("admin", "America/Los_Angeles", FINANCE)
    assert (store.get("cmn_department", FINANCE) or {})["dept_head"] == FINANCE_HEAD
    assert (store.get("sys_user", PROBLEM_ADMIN) or {})["user_name"] == "problem.admin"
    users = list(store.rows("sys_user"))
    assert len(users) > 50
    assert [user["user_name"] for user in users].count("admin") == 1
    assert 0 < sum(bool(user.get("mobile_phone")) for user in users) < 20
    administrators = {row["user"] for row in store.find_all("sys_user_has_role", role=ADMIN_ROLE)}
    assert ADMIN in administrators
    assert 11 <= len(administrators) <= 24
    roles = {row["sys_id"]: row["name"] for row in store.rows("sys_user_role")}
    named = {row["group"] for row in store.rows("sys_group_has_role") if "admin" in roles[row["role"]]}
    assert 3 <= len(named) <= 7
    counts = {table: len(list(store.rows(table))) for table in ("problem", "syslog", "sys_metadata", "sys_user_group")}
    assert counts["problem"] >= 12
    assert counts["syslog"] > 600
    assert counts["sys_metadata"] > 500
    assert counts["sys_user_group"] > 8


def test_it_is_added_once_and_stays_over_a_reset_and_a_restart(tmp_path: Path) -> None:
    first = started(tmp_path / "instance.sqlite", demo_data=False)
    first.store.close()
    second = started(tmp_path / "instance.sqlite")
    users = len(list(second.store.rows("sys_user")))
    second.store.close()
    third = started(tmp_path / "instance.sqlite")
    assert len(list(third.store.rows("sys_user"))) == users
    third.reset()
    assert third.store.get("sys_user", ADMIN)
    third.store.close()


def test_the_command_line_serves_it_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[tuple[tuple[str, ...], bool]] = []
    monkeypatch.setattr("sandbox.serve.serve", lambda names, *, demo_data: served.append((names, demo_data)))
    assert main(["serve", "servicenow", "--demo-data"]) == 0
    assert main(["serve", "servicenow"]) == 0
    assert served == [(("servicenow",), True), (("servicenow",), False)]
