"""Answers in XML."""

from __future__ import annotations

from xml.etree import ElementTree

import httpx
import pytest

from tests.factories.servicenow import make


@pytest.mark.fact("servicenow 2.1")
def test_a_caller_that_accepts_xml_alone_gets_xml(api: httpx.Client) -> None:
    made = make(api, short_description="a <b> & c")
    asked = {"sysparm_query": f"number={made['number']}", "sysparm_fields": "short_description,opened_by,due_date"}
    answer = api.get("/incident", params=asked, headers={"Accept": "application/xml"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml;charset=UTF-8")
    (row,) = ElementTree.fromstring(answer.text).findall("result")  # noqa: S314 - our own sandbox's answer.
    assert (row.findtext("short_description"), row.findtext("due_date")) == ("a <b> & c", "")
    assert row.findtext("opened_by/value") == made["opened_by"]["value"]


@pytest.mark.fact("servicenow 2.1")
def test_errors_are_xml_too_and_json_goes_first(api: httpx.Client) -> None:
    missing = f"/incident/{'0' * 32}"
    refused = api.get(missing, headers={"Accept": "application/xml"})
    assert refused.status_code == 404
    found = ElementTree.fromstring(refused.text)  # noqa: S314 - our own sandbox's answer.
    assert found.findtext("error/message") == "No Record found"
    assert api.get(missing, headers={"Accept": "application/xml, application/json"}).json()["status"] == "failure"
