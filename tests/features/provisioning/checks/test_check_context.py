"""What every check gets: facts that every text may name."""

from __future__ import annotations

from app.core.messages import T
from tests.factories.provisioning import check_context


def test_texts_may_name_user_client_origin_and_redirect_url() -> None:
    filled = check_context().fill(T("%(user)s, %(client)s, %(origin)s, %(url)s"))
    assert str(filled) == (
        "m365.integration, the-client, https://contoso.service-now.com, https://security.example/servicenow/callback"
    )


def test_an_account_that_servicenow_did_not_name_is_the_integration_user() -> None:
    assert check_context(user_name="").user == "the integration user"


def test_a_fact_of_the_check_wins_over_the_common_one() -> None:
    finding = check_context().finding("user_inactive", name="Fred", user="fred.luddy")
    assert str(finding.message) == "Please activate and unlock the user fred.luddy."
