"""The backup's file: a zip with one text per table and a manifest, written and read as a stream. Knows no database."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

from app.core.errors import AppError
from app.core.messages import Message, T

FORMAT = 1
MANIFEST = "manifest.json"
PIECE = 65_536
# Only the owner may read it: names, addresses and what tickets say are in clear.
PRIVATE = 0o600


# What reading a zip file raises where bytes are wrong; an unknown compression or encryption is a RuntimeError.
HARMED = (
    KeyError, TypeError, ValueError, OSError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class BackupProblem(AppError):
    """A backup cannot be made or restored."""


@dataclass(frozen=True)
class SavedTable:
    """`sha256` is of the table's text, `rows` the number of its lines."""

    name: str
    columns: tuple[str, ...]
    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What the file holds. `revision` is that of the schema, `made_at` the moment of the snapshot (ISO 8601, UTC).

    Tables are in the order in which they can be filled; `sequences` gives the last number that each one gave out.
    """

    revision: str
    version: str
    made_at: str
    tables: tuple[SavedTable, ...]
    sequences: dict[str, int]
    format: int = FORMAT


class BackupWriter:
    """Adds tables to an open zip file, and the manifest at last: a file without one is not whole."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.tables: list[SavedTable] = []

    def add(self, name: str, columns: tuple[str, ...], pieces: Iterable[bytes]) -> None:
        rows, digest = 0, sha256()
        # Sizes are known only at the end, and may need 64 bits.
        with self._archive.open(_member(name), "w", force_zip64=True) as member:
            for piece in pieces:
                # A line break inside of a value is written as \\n, so each one in the text ends a row.
                # https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2
                rows += piece.count(b"\n")
                digest.update(piece)
                member.write(piece)
        self.tables.append(SavedTable(name, columns, rows, digest.hexdigest()))

    def finish(self, manifest: Manifest) -> None:
        self._archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1))


@contextmanager
def new_backup(path: Path) -> Iterator[BackupWriter]:
    """A file that appears under its name when the block ends well, and not at all otherwise. Never replaces another.

    Raises BackupProblem.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    if path.exists():
        raise _exists(path)
    try:
        with _private_file(part) as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                yield BackupWriter(archive)
            file.flush()
            os.fsync(file.fileno())
        _appear(part, path)
    except OSError as error:
        raise BackupProblem(
            T("The file could not be written: %(why)s. No backup was made.", why=error.strerror or str(error))
        ) from error
    finally:
        part.unlink(missing_ok=True)


class BackupReader:
    """Gives the tables of a backup, and finds out meanwhile whether they are what was written."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self._archive = archive
        self.manifest = manifest

    def pieces(self, table: SavedTable) -> Iterator[bytes]:
        """The table's text. Raises BackupProblem at its end, or before, when it is not what was written."""
        rows, digest = 0, sha256()
        try:
            with _opened(self._archive, _member(table.name)) as member:
                while piece := member.read(PIECE):
                    rows += piece.count(b"\n")
                    digest.update(piece)
                    yield piece
        except HARMED as error:
            raise BackupProblem(_damaged(table.name)) from error
        if (rows, digest.hexdigest()) != (table.rows, table.sha256):
            raise BackupProblem(_damaged(table.name))


@contextmanager
def open_backup(path: Path) -> Iterator[BackupReader]:
    """Raises BackupProblem when it is no backup, is not whole, or is of a format that this version does not know."""
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise BackupProblem(T("%(file)s could not be read: %(why)s.", file=str(path), why=why)) from error
    except HARMED as error:
        raise BackupProblem(_no_backup(path)) from error
    with archive:
        try:
            known = json.loads(_opened(archive, MANIFEST).read())
            tables = tuple(SavedTable(**{**table, "columns": tuple(table["columns"])}) for table in known.pop("tables"))
            manifest = Manifest(tables=tables, **known)
        except HARMED as error:
            raise BackupProblem(_no_backup(path)) from error
        if manifest.format != FORMAT:
            raise BackupProblem(T("This backup was made by a newer version. Restore it with that version."))
        yield BackupReader(archive, manifest)


@contextmanager
def new_private_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that only its owner may read. Raises BackupProblem when there is one already, or it cannot be written."""
    try:
        with _private_file(path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise BackupProblem(
            T("%(file)s could not be written: %(why)s.", file=str(path), why=error.strerror or str(error))
        ) from error


def _private_file(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE), "w+b")


def _appear(part: Path, path: Path) -> None:
    try:
        # Unlike a rename, a link never replaces a file that came meanwhile.
        os.link(part, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # A file system without links.
        part.rename(path)
    with suppress(OSError):  # The name itself is written durably, where folders can be opened.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _opened(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    if archive.getinfo(name).compress_type != zipfile.ZIP_DEFLATED:
        raise zipfile.BadZipFile("we deflate everything")
    return archive.open(name)


def _member(table: str) -> str:
    return f"tables/{table}.txt"


def _exists(path: Path) -> BackupProblem:
    return BackupProblem(T("%(file)s is there already. Name a file that is not.", file=str(path)))


def _no_backup(path: Path) -> Message:
    return T("%(file)s is no backup of this product, or not a whole one.", file=str(path))


def _damaged(table: str) -> Message:
    return T("The backup is damaged: table %(table)s is not as it was written. Use another backup.", table=table)
