"""MSAL 1.39 at sign-in and as an application, as its documentation shows. One process asks, one goes on."""

import msal
import requests
from job import run


def application(job, cache=None):
    # Instance discovery asks Microsoft whether it knows the authority, which a sandbox is not.
    return msal.ConfidentialClientApplication(
        job["client_id"],
        client_credential=job["client_secret"],
        authority=f"{job['url']}/{job['tenant']}",
        instance_discovery=False,
        verify=job["certificate"],
        token_cache=cache,
    )


def authorize(job, outcome):
    """The flow whose address the browser is sent to."""
    flow = application(job).initiate_auth_code_flow(
        job["scopes"], redirect_uri=job["redirect_uri"], response_mode=job["response_mode"], prompt=job["prompt"]
    )
    outcome.results.append(flow)


def fetch(job, outcome):
    """Tokens for what the browser brought back; then new ones without the person, from the cache's refresh token."""
    cache = msal.SerializableTokenCache()

    def walk_through():
        opened = application(job, cache)
        first = opened.acquire_token_by_auth_code_flow(job["flow"], job["answer"])
        outcome.results.append(first)
        (account,) = opened.get_accounts()
        again = opened.acquire_token_silent_with_error(job["scopes"], account, force_refresh=True)
        outcome.results.append({"username": account["username"], **again})

    outcome.attempt(walk_through)


def as_application(job, outcome):
    """A token for Graph, and with it a list page by page, one that is not there, and one that may not be read."""

    def walk_through():
        token = application(job).acquire_token_for_client(["https://graph.microsoft.com/.default"])
        if "access_token" not in token:
            outcome.results.append(token)
            return
        session = requests.Session()
        session.trust_env, session.verify = False, job["certificate"]
        session.headers["Authorization"] = f"Bearer {token['access_token']}"
        url, found = f"{job['url']}/v1.0/security/secureScoreControlProfiles?$top=50", []
        while url:
            page = session.get(url).json()
            found += page["value"]
            url = page.get("@odata.nextLink")
        missing = session.get(f"{job['url']}/v1.0/security/secureScoreControlProfiles/nothing")
        outcome.results.append({"found": len(found), "missing": missing.status_code})

    outcome.attempt(walk_through)


run({"authorize": authorize, "fetch": fetch, "as_application": as_application})
