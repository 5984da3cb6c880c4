"""Answers that are not what they seem: empty, not JSON, a web page, an error in another shape."""

from __future__ import annotations

import pytest

from app.integrations.http.errors import Ambiguous, Forbidden, RemoteError
from app.integrations.http.http_types import RemoteResponse
from app.integrations.servicenow.protocol import ByIds
from tests.factories.tickets import (
    Scripted,
    client_over,
    replied,
)

PAGE = "<html><head><title>Instance Hibernating page</title></head><body>" + "x" * 5000 + "</body></html>"


@pytest.mark.fact("other-connectors bug-62", "servicenow trap-2")
@pytest.mark.parametrize(
    "answer",
    [
        replied(status=202, body=""),
        replied(status=204, body=""),
        replied(status=201, body=""),
        replied(status=201, body="<?xml version='1.0'?><response/>", content_type="application/xml"),
        replied(status=201, body="{"),
        replied(status=201, body="[]"),
        replied(status=201, body="null"),
        replied({}, 201),
        replied([], 201),
        replied("CHG1", 201),
        replied({"sys_id": ""}, 201),
    ],
)
async def test_an_empty_or_strange_answer_to_a_create_may_hide_a_record(answer: RemoteResponse) -> None:
    with pytest.raises(Ambiguous):
        await client_over(Scripted(answer)).create("incident", {"short_description": "x"})


@pytest.mark.fact("other-connectors bug-63")
@pytest.mark.parametrize(
    "answer",
    [
        replied(status=200, body=PAGE, content_type="text/html"),
        replied(status=503, body=PAGE, content_type="text/html"),
        replied(status=403, body=PAGE, content_type="text/html"),
        replied(status=400, body=PAGE, content_type="text/html"),
        replied(status=302, body=PAGE, content_type="text/html", location="https://login.example/" + "y" * 3000),
        replied(status=403, body='{"error":{"message":"' + "m" * 9000 + '"}}'),
    ],
)
async def test_no_page_is_copied_into_what_a_person_reads(answer: RemoteResponse) -> None:
    for question in (
        client_over(Scripted(answer)).create("incident", {"short_description": "x"}),
        client_over(Scripted(answer)).fetch_page("incident", ByIds(["0" * 32])),
    ):
        with pytest.raises(RemoteError) as error:
            await question
        assert len(str(error.value)) < 800
        assert "<" not in str(error.value)


@pytest.mark.fact("other-connectors bug-64", "servicenow 2.6")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error":"no way"}', "no way"),
        ('{"error":{"message":"No","detail":null}}', "refused: No"),
        ('{"error":{"message":null,"detail":"rule X"}}', "rule X"),
        ('{"error":{"detail":""}}', "without saying why"),
        ('{"error":["a"]}', "without saying why"),
        ('{"status":"failure"}', "without saying why"),
        ("[]", "without saying why"),
        ("", "without saying why"),
    ],
)
async def test_an_error_may_be_text_or_object_or_nothing(body: str, said: str) -> None:
    with pytest.raises(Forbidden, match=said):
        await client_over(Scripted(replied(status=403, body=body))).create("incident", {})
