"""The settings of connections to PostgreSQL: sizes and time-outs."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class DatabaseSettings(BaseSettings):
    """A part of Settings. How many connections that makes per process: docs/database.md."""

    database_pool_size: int = Field(
        10, description="Connections for pages or jobs, per process.", ge=2, le=500, examples=["10"]
    )
    database_queue_pool_size: int = Field(
        4, description="Connections of a worker for its queue.", ge=2, le=100, examples=["4"]
    )
    database_connect_seconds: int = Field(
        2,
        description="Seconds until a server that does not answer is given up while connecting, per host.",
        ge=2,
        le=60,
        examples=["2"],
    )
    database_pool_seconds: float = Field(
        2, description="Seconds to wait for a free connection of the pool.", gt=0, le=60, examples=["2"]
    )
    database_answer_seconds: float = Field(
        4, description="Seconds that a page waits for the database before it says so.", ge=1, le=60, examples=["4"]
    )
    database_statement_seconds: float = Field(
        15,
        description="Seconds that a statement of the worker or of a command may take.",
        ge=5,
        le=3600,
        examples=["15"],
    )
    database_idle_seconds: float = Field(
        15,
        description="Seconds until PostgreSQL ends a transaction in which nothing happens.",
        ge=5,
        le=3600,
        examples=["15"],
    )
    database_network_seconds: float = Field(
        15,
        description="Seconds until sent data that is not acknowledged ends a connection (TCP).",
        ge=5,
        le=600,
        examples=["15"],
    )
