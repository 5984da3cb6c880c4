"""Keeps the stand-in's records in memory and, if asked, on disk, so that a restart forgets nothing. Applies no rules."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import RLock

from sandbox.servicenow.field_index import OrderedIndex, ValueIndex

Record = dict[str, str]

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
# Looked up by equality so often that a table of 20,000 must not be walked; each index is made when first asked for.
INDEXED = frozenset(
    {
        "sys_id", "number", "correlation_id", "correlation_display", "user_name", "name", "element_id", "user", "token",
        "client_id",
    }
)  # fmt: skip
ORDERED = frozenset({"sys_id", "sys_updated_on", "sys_created_on"})


def new_sys_id() -> str:
    """32 lowercase hexadecimal digits, as every record's key is."""
    return secrets.token_hex(16)


class Store:
    """Tables of records by sys_id, in the order they were made; every value is a string, and empty is ``""``.

    A stored record is never changed in place: whoever changes one puts a new one under the same sys_id. One lock covers
    every write, since tests reach in from threads of their own.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.tables: dict[str, dict[str, Record]] = {}
        self.ahead = timedelta()
        self.skew: Callable[[], timedelta] = timedelta
        self.versions: Counter[str] = Counter()
        self._by_value: dict[tuple[str, str], ValueIndex] = {}
        self._in_order: dict[tuple[str, str], OrderedIndex] = {}
        self._lock = RLock()
        self._disk: sqlite3.Connection | None = None
        if file is not None:
            self._disk = _open(file)
            for table, sys_id, body in self._disk.execute("SELECT tab, sys_id, body FROM record ORDER BY rowid"):
                self.tables.setdefault(table, {})[sys_id] = json.loads(body)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever stored."""
        return not any(self.tables.values())

    def time(self) -> datetime:
        """The time that tokens live by, which tests may move ahead."""
        return datetime.now(UTC) + self.ahead

    def now(self) -> datetime:
        """What the instance's clock shows: the same, unless a switch makes that clock wrong."""
        return self.time() + self.skew()

    def now_text(self) -> str:
        """The same as the Table API writes it."""
        return self.now().strftime(TIME_FORMAT)

    def rows(self, table: str) -> Iterator[Record]:
        """Every record of a table, in the order they were made."""
        return iter(list(self.tables.get(table, {}).values()))

    def get(self, table: str, sys_id: str) -> Record | None:
        """One record, or None."""
        return self.tables.get(table, {}).get(sys_id)

    def find(self, table: str, /, **wanted: str) -> Record | None:
        """The first record with these values, or None."""
        return next(self.find_all(table, **wanted), None)

    def find_all(self, table: str, /, **wanted: str) -> Iterator[Record]:
        """Every record with these values, by an index where there is one."""
        fast = [name for name in wanted if name in INDEXED]
        if fast:
            name = min(fast, key=lambda name: self.by_value(table, name).count(wanted[name]))
            rows = self.pick(table, self.by_value(table, name).ids(wanted[name]))
        else:
            rows = list(self.rows(table))
        return (row for row in rows if all(row.get(name) == value for name, value in wanted.items()))

    def pick(self, table: str, sys_ids: list[str]) -> list[Record]:
        """These records, without those that are gone."""
        known = self.tables.get(table, {})
        return [known[sys_id] for sys_id in sys_ids if sys_id in known]

    def by_value(self, table: str, name: str) -> ValueIndex:
        """The index of this field, made when first asked for."""
        with self._lock:
            index = self._by_value.get((table, name))
            if index is None:
                index = self._by_value[table, name] = ValueIndex()
                for sys_id, record in self.tables.get(table, {}).items():
                    index.put(sys_id, record.get(name, ""))
            return index

    def in_order(self, table: str, name: str) -> OrderedIndex:
        """The same for ranges."""
        with self._lock:
            index = self._in_order.get((table, name))
            if index is None:
                index = self._in_order[table, name] = OrderedIndex()
                for sys_id, record in self.tables.get(table, {}).items():
                    index.put(sys_id, record.get(name, ""))
            return index

    def put(self, table: str, record: Record) -> Record:
        """Store a record under its sys_id, which is made if it has none."""
        record.setdefault("sys_id", new_sys_id())
        sys_id = record["sys_id"]
        with self._lock:
            self.tables.setdefault(table, {})[sys_id] = record
            self.versions[table] += 1
            for name, index in self._indexes(table):
                index.put(sys_id, record.get(name, ""))
            if self._disk:
                self._disk.execute(
                    "INSERT INTO record VALUES (?, ?, ?) ON CONFLICT (tab, sys_id) DO UPDATE SET body = excluded.body",
                    (table, sys_id, json.dumps(record)),
                )
        return record

    def remove(self, table: str, sys_id: str) -> None:
        """Forget one record."""
        with self._lock:
            self.tables.get(table, {}).pop(sys_id, None)
            self.versions[table] += 1
            for _, index in self._indexes(table):
                index.remove(sys_id)
            if self._disk:
                self._disk.execute("DELETE FROM record WHERE tab = ? AND sys_id = ?", (table, sys_id))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.versions.update(self.tables.keys())
            self.tables.clear()
            self._by_value.clear()
            self._in_order.clear()
            self.ahead = timedelta()
            if self._disk:
                self._disk.execute("DELETE FROM record")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Writes in this block reach the disk as one: for filling a table."""
        with self._lock:
            if self._disk:
                self._disk.execute("BEGIN")
            try:
                yield
            finally:
                if self._disk:
                    self._disk.execute("COMMIT")

    def next_number(self, table: str, prefix: str, first: int) -> str:
        """``INC0010001``, ``INC0010002`` …: seven digits, never used twice, not even after a deletion."""
        with self._lock:
            counter = self.find("_counter", name=table) or {"name": table, "value": str(first - 1)}
            counter = self.put("_counter", counter | {"value": str(int(counter["value"]) + 1)})
        return f"{prefix}{int(counter['value']):07d}"

    def close(self) -> None:
        """Give the file back."""
        if self._disk:
            self._disk.close()
            self._disk = None

    def _indexes(self, table: str) -> list[tuple[str, ValueIndex | OrderedIndex]]:
        found: list[tuple[str, ValueIndex | OrderedIndex]] = [
            (n, i) for (of, n), i in self._by_value.items() if of == table
        ]
        found += [(n, i) for (of, n), i in self._in_order.items() if of == table]
        return found


def _open(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    disk = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
    # Survives a killed process, which is what a demo meets; a power cut may cost the last seconds. A write takes some
    # 20 microseconds so, in place of the milliseconds of a synchronous one.
    disk.execute("PRAGMA journal_mode = WAL")
    disk.execute("PRAGMA synchronous = OFF")
    disk.execute("CREATE TABLE IF NOT EXISTS record (tab TEXT, sys_id TEXT, body TEXT, PRIMARY KEY (tab, sys_id))")
    return disk
