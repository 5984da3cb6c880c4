"""Store of the instance's records: in memory, and optionally in an SQLite file. Applies no business rule and no ACL."""

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
# Fields looked up by equality in tables of up to 20,000 rows. An index is built at its first use.
INDEXED = frozenset(
    {
        "sys_id", "number", "correlation_id", "correlation_display", "user_name", "name", "element_id", "user", "token",
        "client_id",
    }
)  # fmt: skip
ORDERED = frozenset({"sys_id", "sys_updated_on", "sys_created_on"})


def new_sys_id() -> str:
    """Return a new record key: 32 lowercase hexadecimal digits."""
    return secrets.token_hex(16)


class Store:
    """Tables of records by sys_id, in creation order. Every value is a string; empty is ``""``.

    A stored record is never changed in place: an update stores a new dict under the same sys_id. One lock covers all
    writes, because tests write from threads of their own.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.tables: dict[str, dict[str, Record]] = {}
        self.clock_offset = timedelta()
        self.clock_error: Callable[[], timedelta] = timedelta
        self.versions: Counter[str] = Counter()
        self._value_indexes: dict[tuple[str, str], ValueIndex] = {}
        self._ordered_indexes: dict[tuple[str, str], OrderedIndex] = {}
        self._lock = RLock()
        self._disk: sqlite3.Connection | None = None
        if file is not None:
            self._disk = _open(file)
            for table, sys_id, body in self._disk.execute("SELECT tab, sys_id, body FROM record ORDER BY rowid"):
                self.tables.setdefault(table, {})[sys_id] = json.loads(body)

    @property
    def is_empty(self) -> bool:
        return not any(self.tables.values())

    def time(self) -> datetime:
        """Return the time that token lifetimes use; tests move it forward by `clock_offset`."""
        return datetime.now(UTC) + self.clock_offset

    def now(self) -> datetime:
        """Return the instance's displayed clock, which a switch can set wrong by `clock_error`."""
        return self.time() + self.clock_error()

    def now_text(self) -> str:
        """Return `now` in the Table API's format."""
        return self.now().strftime(TIME_FORMAT)

    def rows(self, table: str) -> Iterator[Record]:
        """Iterate over a table's records in creation order."""
        return iter(list(self.tables.get(table, {}).values()))

    def get(self, table: str, sys_id: str) -> Record | None:
        return self.tables.get(table, {}).get(sys_id)

    def find(self, table: str, /, **wanted: str) -> Record | None:
        """Return the first record with these values, or None."""
        return next(self.find_all(table, **wanted), None)

    def find_all(self, table: str, /, **wanted: str) -> Iterator[Record]:
        """Iterate over the records with these values, by an index where one exists."""
        fast = [name for name in wanted if name in INDEXED]
        if fast:
            name = min(fast, key=lambda name: self.value_index(table, name).count(wanted[name]))
            rows = self.get_many(table, self.value_index(table, name).ids(wanted[name]))
        else:
            rows = list(self.rows(table))
        return (row for row in rows if all(row.get(name) == value for name, value in wanted.items()))

    def get_many(self, table: str, sys_ids: list[str]) -> list[Record]:
        """Return the records with these keys; deleted ones are left out."""
        known = self.tables.get(table, {})
        return [known[sys_id] for sys_id in sys_ids if sys_id in known]

    def value_index(self, table: str, name: str) -> ValueIndex:
        with self._lock:
            index = self._value_indexes.get((table, name))
            if index is None:
                index = self._value_indexes[table, name] = ValueIndex()
                for sys_id, record in self.tables.get(table, {}).items():
                    index.put(sys_id, record.get(name, ""))
            return index

    def ordered_index(self, table: str, name: str) -> OrderedIndex:
        with self._lock:
            index = self._ordered_indexes.get((table, name))
            if index is None:
                index = self._ordered_indexes[table, name] = OrderedIndex()
                for sys_id, record in self.tables.get(table, {}).items():
                    index.put(sys_id, record.get(name, ""))
            return index

    def put(self, table: str, record: Record) -> Record:
        """Store a record under its sys_id, which is generated when missing."""
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
        with self._lock:
            self.tables.get(table, {}).pop(sys_id, None)
            self.versions[table] += 1
            for _, index in self._indexes(table):
                index.remove(sys_id)
            if self._disk:
                self._disk.execute("DELETE FROM record WHERE tab = ? AND sys_id = ?", (table, sys_id))

    def clear(self) -> None:
        with self._lock:
            self.versions.update(self.tables.keys())
            self.tables.clear()
            self._value_indexes.clear()
            self._ordered_indexes.clear()
            self.clock_offset = timedelta()
            if self._disk:
                self._disk.execute("DELETE FROM record")

    @contextmanager
    def one_transaction(self) -> Iterator[None]:
        """Write the block's changes to disk in one transaction."""
        with self._lock:
            if self._disk:
                self._disk.execute("BEGIN")
            try:
                yield
            finally:
                if self._disk:
                    self._disk.execute("COMMIT")

    def next_number(self, table: str, prefix: str, first: int) -> str:
        """Return the next number: prefix and seven digits, never reused, not even after a deletion."""
        with self._lock:
            counter = self.find("_counter", name=table) or {"name": table, "value": str(first - 1)}
            counter = self.put("_counter", counter | {"value": str(int(counter["value"]) + 1)})
        return f"{prefix}{int(counter['value']):07d}"

    def close(self) -> None:
        if self._disk:
            self._disk.close()
            self._disk = None

    def _indexes(self, table: str) -> list[tuple[str, ValueIndex | OrderedIndex]]:
        found: list[tuple[str, ValueIndex | OrderedIndex]] = [
            (n, i) for (of, n), i in self._value_indexes.items() if of == table
        ]
        found += [(n, i) for (of, n), i in self._ordered_indexes.items() if of == table]
        return found


def _open(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    disk = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
    # synchronous=OFF survives a killed process, which demos meet; a power failure may lose the last seconds. A write then
    # takes about 20 µs in place of milliseconds (https://www.sqlite.org/pragma.html#pragma_synchronous).
    disk.execute("PRAGMA journal_mode = WAL")
    disk.execute("PRAGMA synchronous = OFF")
    disk.execute("CREATE TABLE IF NOT EXISTS record (tab TEXT, sys_id TEXT, body TEXT, PRIMARY KEY (tab, sys_id))")
    return disk
