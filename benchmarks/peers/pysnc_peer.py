"""PySNC 1.2.1 at work on incidents, as its documentation shows: GlideRecord, queries, batches of a hundred."""

import io

import requests
from job import in_chunks, run
from pysnc import ServiceNowClient
from pysnc.auth import ServiceNowClientCredentialsFlow, ServiceNowPasswordGrantFlow
from requests_oauthlib import OAuth2Session

FIELDS = ["sys_id", "number", "state", "priority", "correlation_id", "sys_updated_on"]
CHUNK = 100


def client(job):
    """With the access token in our own session: PySNC knows no authorization code grant."""
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {job['token']}"
    return ServiceNowClient(_address(job), session)


def _address(job):
    # PySNC refuses http:// but looks at small letters only.
    return job["url"].replace("http://", "HTTP://")


def walk(job, outcome):
    """Page through everything that the query finds."""
    record = client(job).GlideRecord("incident", batch_size=job.get("page", CHUNK))
    record.fields = FIELDS
    record.add_encoded_query(job["query"])
    record.order_by("sys_id")

    def read():
        record.query()
        for row in record:
            outcome.results.append({name: row.get_value(name) for name in FIELDS})

    outcome.attempt(read)


def create(job, outcome):
    """One record after the other."""
    connected = client(job)

    def insert(body):
        record = connected.GlideRecord("incident")
        record.initialize()
        for name, value in body.items():
            record.set_value(name, value)
        outcome.results.append({"sys_id": str(record.insert()), "number": str(record.number)})

    for body in job["bodies"]:
        outcome.attempt(insert, body)


def update(job, outcome):
    """Change one record."""

    def change():
        record = client(job).GlideRecord("incident")
        assert record.get(job["sys_id"])
        for name, value in job["fields"].items():
            record.set_value(name, value)
        record.update()
        outcome.results.append({"sys_id": str(record.sys_id), "short_description": str(record.short_description)})

    outcome.attempt(change)


def refresh(job, outcome):
    """The states of known tickets, by their ids."""
    connected = client(job)

    def read(ids):
        record = connected.GlideRecord("incident", batch_size=CHUNK)
        record.fields = FIELDS
        record.add_query("sys_id", "IN", ",".join(ids))
        record.query()
        for row in record:
            outcome.results.append({name: row.get_value(name) for name in FIELDS})

    for ids in in_chunks(job["sys_ids"], CHUNK):
        outcome.attempt(read, ids)


def workers(job, outcome):
    """Workers that share a stored token which has expired, each with a client of its own."""

    def read(_number):
        session = OAuth2Session(
            client_id=job["client_id"],
            token={**job["stored"], "expires_in": -1},
            auto_refresh_url=f"{job['url']}/oauth_token.do",
            auto_refresh_kwargs={"client_id": job["client_id"], "client_secret": job["client_secret"]},
            token_updater=lambda _token: None,
        )
        session.trust_env = False
        record = ServiceNowClient(_address(job), session).GlideRecord("incident", batch_size=1)
        record.limit = 1
        record.query()
        assert record.next()
        outcome.results.append({"number": record.get_value("number")})

    outcome.at_once(job["workers"], read)


def refused(job, outcome):
    """A record that does not exist, a read and a write that are not allowed: how each is told."""
    record = client(job).GlideRecord("incident")
    outcome.results.append({"told": f"found: {record.get(job['missing'])}"})
    closed = client(job).GlideRecord(job["closed"])

    def read():
        closed.query()

    def write():
        made = client(job).GlideRecord("incident")
        made.initialize()
        made.short_description = "not allowed"
        made.insert()

    outcome.attempt(read)
    outcome.attempt(write)


def sign_in(job, outcome):
    """Every way to sign in by itself that the library has, each followed by one read."""
    user, password, client_id, secret = job["user"], job["password"], job["client_id"], job["client_secret"]
    ways = {
        "basic": lambda: (user, password),
        "password": lambda: ServiceNowPasswordGrantFlow(user, password, client_id, secret),
        "client_credentials": lambda: ServiceNowClientCredentialsFlow(client_id, secret),
    }

    def read(way):
        record = ServiceNowClient(_address(job), ways[way]()).GlideRecord("sys_user")
        record.fields = ["user_name"]
        record.add_query("sys_id", "javascript:gs.getUserID()")
        record.query()
        assert record.next()
        outcome.results.append({"way": way, "user": record.get_value("user_name")})

    for way in ways:
        outcome.attempt(read, way)


def attach(job, outcome):
    """Attach a file, list it, read it back, delete it."""

    def walk_through():
        record = client(job).GlideRecord("incident")
        assert record.get(job["sys_id"])
        record.add_attachment("a.txt", io.BytesIO(job["text"].encode()), content_type="text/plain")
        kept = record.get_attachments()
        for file in kept:
            outcome.results.append({"file_name": file.file_name, "text": file.read().decode()})
        for file in kept:
            file.delete()
        outcome.results.append({"left": len(record.get_attachments())})

    outcome.attempt(walk_through)


WORK = {
    "walk": walk, "create": create, "update": update, "refresh": refresh, "workers": workers, "refused": refused,
    "sign_in": sign_in, "attach": attach,
}  # fmt: skip
run(WORK)
