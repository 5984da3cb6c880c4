"""Rows within a row: a subquery's rows as one column, so that what a page needs is read in one statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Text, func, literal
from sqlalchemy.dialects.postgresql import ARRAY, JSONB


def nested(query: Select[*tuple[Any, ...]]) -> ColumnElement[list[dict[str, Any]]]:
    """The query's rows in its order, each as {column: value}; no rows are an empty list. Moments and ids are ISO texts.

    It may refer to the tables of the statement around it. At most 50 columns.
    """
    # https://www.postgresql.org/docs/current/sql-expressions.html#SQL-SYNTAX-ARRAY-CONSTRUCTORS
    pairs = [part for column in query.selected_columns for part in (literal(str(column.key), Text()), column)]
    row = query.with_only_columns(func.jsonb_build_object(*pairs), maintain_column_froms=True)
    return func.array(row.scalar_subquery(), type_=ARRAY(JSONB()))


def number_of(value: float | None) -> float | None:
    """A column of real numbers in such a row, where 5.0 is written 5."""
    return None if value is None else float(value)
