"""A client without an authentication scope is refused in one of several wordings, and always recognized."""

from __future__ import annotations

import json

import pytest

from app.integrations.http.errors import Forbidden
from app.integrations.http.http_types import RemoteResponse
from app.integrations.servicenow.auth_scope import SCOPE_MISSING, grants_whole_account, is_scope_refusal
from app.integrations.servicenow.parse_response import result_of


@pytest.mark.parametrize(
    "said",
    [
        "User Not Authorized – Access to unscoped api is not allowed",
        "User Not Authorized – Missing required api access scope",
        "Missing required API scope",  # In the words of a release that is yet to come.
        "Access to an unscoped API is denied",
        "The OAuth scope is missing for this request",
    ],
)
def test_a_missing_scope_is_recognized_in_every_wording(said: str) -> None:
    assert is_scope_refusal(said)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "User Not Authorized – Failed API level ACL Validation",
        "Operation Failed – ACL Exception Insert Failed due to security constraints",
        "Access to api from scope 'rhino.global' has been refused due to the table's cross-scope access policy",
        "Operation Failed – Data Policy Exception: The following fields are mandatory: Scope of the change",
    ],
)
def test_other_refusals_are_not_taken_for_a_missing_scope(said: str) -> None:
    assert not is_scope_refusal(said)


@pytest.mark.fact("servicenow 1.7")
def test_a_refusal_for_the_scope_concerns_every_call_and_not_this_record() -> None:
    error = {"message": "User Not Authorized", "detail": "Missing required api access scope"}
    body = json.dumps({"error": error, "status": "failure"}).encode()
    with pytest.raises(Forbidden) as caught:
        result_of(RemoteResponse(403, {"content-type": "application/json"}, body), purpose="write")
    assert caught.value.code == SCOPE_MISSING.code
    assert caught.value.is_instance_wide
    assert caught.value.is_final  # Refused at the door: nothing has arrived.


@pytest.mark.parametrize(
    ("scope", "whole"), [("useraccount", True), ("read useraccount", True), ("", False), ("table_read", False)]
)
def test_only_useraccount_grants_all_the_rights_of_the_user(scope: str, *, whole: bool) -> None:
    assert grants_whole_account(scope) is whole
