"""pysnow 0.7.17 at work on incidents, as its documentation shows: resources, queries, one answer for a query."""

import tempfile
from pathlib import Path

import pysnow
import requests
from job import in_chunks, run

FIELDS = ["sys_id", "number", "state", "priority", "correlation_id", "sys_updated_on"]
CHUNK = 100


def session_of(job):
    """With the access token in our own session: pysnow knows no authorization code grant."""
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {job['token']}"
    return session


def resource(job, table="incident"):
    connected = pysnow.Client(host=_host(job), use_ssl=False, session=session_of(job))
    return connected.resource(api_path=f"/table/{table}")


def _host(job):
    return job["url"].removeprefix("http://")


def walk(job, outcome):
    """Page through everything that the query finds; pysnow leaves the pages to its caller."""
    incidents = resource(job)
    size = job.get("page", CHUNK)

    def read(offset):
        query = f"{job['query']}^ORDERBYsys_id"
        rows = incidents.get(query=query, limit=size, offset=offset, fields=FIELDS).all()
        outcome.results.extend(rows)
        return len(rows)

    offset = 0
    while outcome.attempt(read, offset):
        offset += size


def create(job, outcome):
    """One record after the other."""
    incidents = resource(job)

    def insert(body):
        made = incidents.create(payload=body).one()
        outcome.results.append({"sys_id": made["sys_id"], "number": made["number"]})

    for body in job["bodies"]:
        outcome.attempt(insert, body)


def update(job, outcome):
    """Change one record."""

    def change():
        made = resource(job).update(query={"sys_id": job["sys_id"]}, payload=job["fields"]).one()
        outcome.results.append({"sys_id": made["sys_id"], "short_description": made["short_description"]})

    outcome.attempt(change)


def refresh(job, outcome):
    """The states of known tickets, by their ids."""
    incidents = resource(job)

    def read(ids):
        outcome.results.extend(incidents.get(query=f"sys_idIN{','.join(ids)}", fields=FIELDS).all())

    for ids in in_chunks(job["sys_ids"], CHUNK):
        outcome.attempt(read, ids)


def workers(job, outcome):
    """Workers that share a stored token which has expired, each with a client of its own."""

    def read(_number):
        connected = pysnow.OAuthClient(
            client_id=job["client_id"],
            client_secret=job["client_secret"],
            token_updater=lambda _token: None,
            host=_host(job),
            use_ssl=False,
        )
        connected.set_token({**job["stored"], "expires_in": -1, "expires_at": 1})
        incidents = connected.resource(api_path="/table/incident")
        connected.session.trust_env = False
        outcome.results.extend(incidents.get(query={}, limit=1, fields=["number"]).all())

    outcome.at_once(job["workers"], read)


def refused(job, outcome):
    """A record that does not exist, a read and a write that are not allowed: how each is told."""
    incidents = resource(job)
    outcome.attempt(lambda: incidents.get(query={"sys_id": job["missing"]}).one())
    outcome.attempt(lambda: resource(job, job["closed"]).get(query={}, limit=1).all())
    outcome.attempt(lambda: incidents.create(payload={"short_description": "not allowed"}).one())


def sign_in(job, outcome):
    """Every way to sign in by itself that the library has, each followed by one read."""

    def basic():
        return pysnow.Client(host=_host(job), use_ssl=False, user=job["user"], password=job["password"])

    def password():
        oauth = pysnow.OAuthClient(
            client_id=job["client_id"], client_secret=job["client_secret"], host=_host(job), use_ssl=False
        )
        oauth.set_token(oauth.generate_token(job["user"], job["password"]))
        return oauth

    ways = {"basic": basic, "password": password}

    def read(way):
        users = ways[way]().resource(api_path="/table/sys_user")
        row = users.get(query="sys_id=javascript:gs.getUserID()", fields=["user_name"]).one()
        outcome.results.append({"way": way, "user": row["user_name"]})

    for way in ways:
        outcome.attempt(read, way)


def attach(job, outcome):
    """Attach a file, list it, read it back, delete it."""

    def walk_through():
        incidents = resource(job)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.txt"
            path.write_text(job["text"])
            incidents.attachments.upload(sys_id=job["sys_id"], file_path=str(path))
        files = resource(job).attachments
        for file in files.get(sys_id=job["sys_id"]):
            read = session_of(job).get(file["download_link"], timeout=60)
            outcome.results.append({"file_name": file["file_name"], "text": read.text})
            resource(job).attachments.delete(file["sys_id"])
        outcome.results.append({"left": len(resource(job).attachments.get(sys_id=job["sys_id"]))})

    outcome.attempt(walk_through)


WORK = {
    "walk": walk, "create": create, "update": update, "refresh": refresh, "workers": workers, "refused": refused,
    "sign_in": sign_in, "attach": attach,
}  # fmt: skip
run(WORK)
