"""aiosnow 0.6.0 at work on incidents, as its documentation shows: models, streams. It knows Basic and nothing else."""

import asyncio

import aiosnow
from aiosnow.models import TableModel, fields
from job import run

FIELDS = ["sys_id", "number", "state", "correlation_id"]


class Incident(TableModel):
    sys_id = fields.String(is_primary=True)
    number = fields.String()
    state = fields.Integer()
    short_description = fields.String()
    correlation_id = fields.String()
    correlation_display = fields.String()


class User(TableModel):
    sys_id = fields.String(is_primary=True)
    user_name = fields.String()


class Property(TableModel):
    sys_id = fields.String(is_primary=True)


def model(job, kind=Incident, table="incident"):
    connected = aiosnow.Client(
        job["url"].removeprefix("http://"), basic_auth=(job["user"], job["password"]), use_ssl=False
    )
    return kind(connected, table_name=table)


def steps(job, outcome, work, **kind):
    """Run the steps, whose failures are counted, with one model."""

    async def all_steps():
        async with model(job, **kind) as opened:
            for step in work(opened):
                try:
                    await step()
                except Exception as error:
                    outcome.failures += 1
                    outcome.told.append(f"{type(error).__name__}: {getattr(error, 'status', '')} {error}"[:160])

    asyncio.run(all_steps())


def walk(job, outcome):
    """Page through everything that the query finds."""

    def work(incidents):
        async def read():
            async for _, row in incidents.stream(job["query"], limit=10_000, page_size=job.get("page", 100)):
                outcome.results.append({name: row[name] for name in FIELDS})

        return [read]

    steps(job, outcome, work)


def create(job, outcome):
    """One record after the other."""

    def work(incidents):
        async def insert(body):
            made = await incidents.create(body)
            outcome.results.append({"sys_id": made["sys_id"], "number": made["number"]})

        return [lambda body=body: insert(body) for body in job["bodies"]]

    steps(job, outcome, work)


def update(job, outcome):
    """Change one record."""

    def work(incidents):
        async def change():
            made = await incidents.update(job["sys_id"], job["fields"])
            outcome.results.append({"sys_id": made["sys_id"], "short_description": made["short_description"]})

        return [change]

    steps(job, outcome, work)


def refused(job, outcome):
    """A record that does not exist, a read and a write that are not allowed: how each is told."""

    def work(incidents):
        return [
            lambda: incidents.update(job["missing"], {"short_description": "x"}),
            lambda: incidents.create({"short_description": "not allowed"}),
        ]

    def look(properties):
        return [lambda: properties.get("")]

    steps(job, outcome, look, kind=Property, table=job["closed"])
    steps(job, outcome, work)


def sign_in(job, outcome):
    """Every way to sign in by itself that the library has, each followed by one read."""

    def work(users):
        async def read():
            answer = await users.get_one("sys_id=javascript:gs.getUserID()")
            outcome.results.append({"way": "basic", "user": answer["user_name"]})

        return [read]

    steps(job, outcome, work, kind=User, table="sys_user")


run({"walk": walk, "create": create, "update": update, "refused": refused, "sign_in": sign_in})
