"""A backup's file is whole or not there, is read by its owner only, and says when it was harmed."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.features.keeping.backup_file import BackupProblem, Manifest, new_backup, new_private_file, open_backup

COLUMNS = ("id", "text")


def _write(path: Path, *pieces: bytes, finish: bool = True, **changes: object) -> None:
    with new_backup(path) as backup:
        backup.add("person", COLUMNS, pieces)
        if finish:
            told = {
                "revision": "0015",
                "version": "",
                "made_at": "2026-11-29T03:00:00+00:00",
                "sequences": {"a_seq": 3},
            }
            backup.finish(Manifest(tables=tuple(backup.tables), **{**told, **changes}))  # type: ignore[arg-type]


def _read(path: Path) -> bytes:
    with open_backup(path) as backup:
        return b"".join(backup.pieces(backup.manifest.tables[0]))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    _write(tmp_path / "backup", b"1\tx\n2", b"\ty\\n\n")
    with open_backup(tmp_path / "backup") as backup:
        (table,) = backup.manifest.tables
        assert (table.name, table.columns, table.rows) == ("person", COLUMNS, 2)
        assert backup.manifest.sequences == {"a_seq": 3}
    assert _read(tmp_path / "backup") == b"1\tx\n2\ty\\n\n"


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    _write(tmp_path / "backup", b"1\tx\n")
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600


def test_nothing_is_left_of_one_that_fails(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"1\tx\n"
        raise LookupError

    with pytest.raises(LookupError), new_backup(tmp_path / "backup") as backup:
        backup.add("person", COLUMNS, broken())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "backup").write_text("the only one", encoding="utf-8")
    with pytest.raises(BackupProblem, match="is there already"):
        _write(tmp_path / "backup")
    assert (tmp_path / "backup").read_text(encoding="utf-8") == "the only one"


def test_nor_is_one_that_comes_while_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(BackupProblem, match="is there already"), new_backup(tmp_path / "backup"):
        (tmp_path / "backup").write_text("the only one", encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]
    assert (tmp_path / "backup").read_text(encoding="utf-8") == "the only one"


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BackupProblem, match=r"No space left on device\. No backup was made"):
        _write(tmp_path / "backup", b"1\tx\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no zip file at all", b"PK\x05\x06" + bytes(18)])
def test_another_file_is_no_backup(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "backup").write_bytes(content)
    with pytest.raises(BackupProblem, match="is no backup of this product"):
        _read(tmp_path / "backup")


def test_one_without_its_manifest_is_not_whole(tmp_path: Path) -> None:
    _write(tmp_path / "backup", b"1\tx\n", finish=False)
    with pytest.raises(BackupProblem, match="not a whole one"):
        _read(tmp_path / "backup")


def test_a_file_that_is_missing_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BackupProblem, match="could not be read: No such file"):
        _read(tmp_path / "backup")


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "backup", format=2)
    with pytest.raises(BackupProblem, match="made by a newer version"):
        _read(tmp_path / "backup")


def test_a_harmed_table_is_named(tmp_path: Path) -> None:
    _write(tmp_path / "backup", b"1\tx\n" * 1000)
    whole = (tmp_path / "backup").read_bytes()
    (tmp_path / "backup").write_bytes(whole[:75] + bytes([whole[75] ^ 255]) + whole[76:])
    with pytest.raises(BackupProblem, match="table person is not as it was written"):
        _read(tmp_path / "backup")


def test_one_wrong_byte_anywhere_is_found_or_harmless(tmp_path: Path) -> None:
    _write(tmp_path / "backup", b"1\tx\n2\ty\n")
    whole = (tmp_path / "backup").read_bytes()
    refused = 0
    for place in range(len(whole)):
        (tmp_path / "backup").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert _read(tmp_path / "backup") == b"1\tx\n2\ty\n"
        except BackupProblem:
            refused += 1
    assert refused > len(whole) / 2


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_one_that_was_cut_off_is_refused(tmp_path: Path, kept: float) -> None:
    _write(tmp_path / "backup", b"1\tx\n" * 1000)
    whole = (tmp_path / "backup").read_bytes()
    (tmp_path / "backup").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(BackupProblem, match="not a whole one"):
        _read(tmp_path / "backup")


def test_so_is_one_whose_rows_were_exchanged(tmp_path: Path) -> None:
    # The zip file's own sum fits then: only the manifest's tells.
    _write(tmp_path / "backup", b"1\tx\n")
    with zipfile.ZipFile(tmp_path / "backup") as archive:
        manifest = archive.read("manifest.json")
    with zipfile.ZipFile(tmp_path / "other", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tables/person.txt", b"1\ty\n")
        archive.writestr("manifest.json", manifest)
    with pytest.raises(BackupProblem, match="table person is not as it was written"):
        _read(tmp_path / "other")


def test_an_export_replaces_no_file_either(tmp_path: Path) -> None:
    with new_private_file(tmp_path / "export") as file:
        file.write(b"{}")
    assert stat.S_IMODE((tmp_path / "export").stat().st_mode) == 0o600
    with pytest.raises(BackupProblem, match="is there already"), new_private_file(tmp_path / "export"):
        pass


def test_an_export_into_no_folder_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(BackupProblem, match="No such file or directory"),
        new_private_file(tmp_path / "none" / "export"),
    ):
        pass
