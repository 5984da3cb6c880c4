"""Keeps the stand-in's records in memory and, if asked, on disk, so that a restart forgets nothing. Applies no rules."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Record = dict[str, str]

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


def new_sys_id() -> str:
    """32 lowercase hexadecimal digits, as every record's key is."""
    return secrets.token_hex(16)


class Store:
    """Tables of records by sys_id, in the order they were made; every value is a string, and empty is ``""``."""

    def __init__(self, file: Path | None = None) -> None:
        self.tables: dict[str, dict[str, Record]] = {}
        self.ahead = timedelta()
        self._disk: sqlite3.Connection | None = None
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._disk = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._disk.execute(
                "CREATE TABLE IF NOT EXISTS record (tab TEXT, sys_id TEXT, body TEXT, PRIMARY KEY (tab, sys_id))"
            )
            for table, sys_id, body in self._disk.execute("SELECT tab, sys_id, body FROM record ORDER BY rowid"):
                self.tables.setdefault(table, {})[sys_id] = json.loads(body)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever stored."""
        return not any(self.tables.values())

    def now(self) -> datetime:
        """The stand-in's own time, which tests may move ahead."""
        return datetime.now(UTC) + self.ahead

    def now_text(self) -> str:
        """The same as the Table API writes it."""
        return self.now().strftime(TIME_FORMAT)

    def rows(self, table: str) -> Iterator[Record]:
        """Every record of a table, in the order they were made."""
        return iter(list(self.tables.get(table, {}).values()))

    def get(self, table: str, sys_id: str) -> Record | None:
        """One record, or None."""
        return self.tables.get(table, {}).get(sys_id)

    def find(self, table: str, **wanted: str) -> Record | None:
        """The first record with these values, or None."""
        return next((row for row in self.rows(table) if all(row.get(k) == v for k, v in wanted.items())), None)

    def put(self, table: str, record: Record) -> Record:
        """Store a record under its sys_id, which is made if it has none."""
        record.setdefault("sys_id", new_sys_id())
        self.tables.setdefault(table, {})[record["sys_id"]] = record
        if self._disk:
            self._disk.execute(
                "INSERT INTO record VALUES (?, ?, ?) ON CONFLICT (tab, sys_id) DO UPDATE SET body = excluded.body",
                (table, record["sys_id"], json.dumps(record)),
            )
        return record

    def remove(self, table: str, sys_id: str) -> None:
        """Forget one record."""
        self.tables.get(table, {}).pop(sys_id, None)
        if self._disk:
            self._disk.execute("DELETE FROM record WHERE tab = ? AND sys_id = ?", (table, sys_id))

    def next_number(self, table: str, prefix: str, first: int) -> str:
        """``INC0010001``, ``INC0010002`` …: seven digits, never used twice, not even after a deletion."""
        counter = self.find("_counter", name=table) or {"name": table, "value": str(first - 1)}
        counter["value"] = str(int(counter["value"]) + 1)
        self.put("_counter", counter)
        return f"{prefix}{int(counter['value']):07d}"

    def snapshot(self) -> dict[str, Any]:
        """Sizes, for the console."""
        return {table: len(rows) for table, rows in self.tables.items() if not table.startswith("_")}
