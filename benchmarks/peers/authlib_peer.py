"""authlib at work on incidents and at sign-in, as its documentation shows: OAuth2Session. One process asks, one goes on."""

from authlib.integrations.requests_client import OAuth2Session
from job import run

FIELDS = ["sys_id", "number", "state", "correlation_id"]


def session_of(job, **more):
    session = OAuth2Session(
        job["client_id"],
        job["client_secret"],
        token_endpoint_auth_method=job.get("auth_method", "client_secret_basic"),
        scope=job["scope"],
        redirect_uri=job["redirect_uri"],
        code_challenge_method="S256" if job.get("verifier") else None,
        token_endpoint=job["token_endpoint"],
        **more,
    )
    session.trust_env = False
    return session


def authorize(job, outcome):
    """The address to send the browser to."""
    more = {"code_verifier": job["verifier"]} if job.get("verifier") else {}
    url, state = session_of(job).create_authorization_url(job["authorization_endpoint"], **more)
    outcome.results.append({"url": url, "state": state})


def fetch(job, outcome):
    """Tokens for what the browser brought back, and new ones for the refresh token."""

    def walk_through():
        session = session_of(job, state=job["state"])
        more = {"code_verifier": job["verifier"]} if job.get("verifier") else {}
        first = dict(session.fetch_token(authorization_response=job["callback"], **more))
        again = dict(session.refresh_token(job["token_endpoint"], refresh_token=first["refresh_token"]))
        outcome.results += [first, again]

    outcome.attempt(walk_through)


def work_on_tickets(job, outcome):
    """List page by page, create, update, and read what is not there and what may not be read."""
    session = session_of(job, token=job["token"])
    url = f"{job['url']}/api/now/table"

    def walk_through():
        page = session.get(f"{url}/incident", params={"sysparm_query": job["query"], "sysparm_limit": 100})
        found = page.json()["result"]
        while "next" in page.links:
            page = session.get(page.links["next"]["url"])
            found += page.json()["result"]
        made = session.post(f"{url}/incident", json={"short_description": "made"}).json()["result"]
        changed = session.patch(f"{url}/incident/{made['sys_id']}", json={"state": "2"}).json()["result"]
        statuses = [session.get(f"{url}/{path}").status_code for path in (f"incident/{'0' * 32}", job["closed"])]
        outcome.results.append({"found": len(found), "state": changed["state"], "statuses": statuses})

    outcome.attempt(walk_through)


def expired(job, outcome):
    """A call with a token that has expired: the session refreshes by itself."""

    def read():
        kept = []
        token = {**job["token"], "expires_at": 1}
        session = session_of(job, token=token, update_token=lambda token, **_: kept.append(token["access_token"]))
        answer = session.get(f"{job['url']}/api/now/table/incident", params={"sysparm_limit": 1})
        outcome.results.append({"status": answer.status_code, "refreshed": len(kept)})

    outcome.attempt(read)


run({"authorize": authorize, "fetch": fetch, "work_on_tickets": work_on_tickets, "expired": expired})
