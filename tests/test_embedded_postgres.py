"""A folder that the embedded PostgreSQL cannot have is a wrong setting, told in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.embedded_postgres import NoFolder, running_postgres


def test_a_file_in_place_of_the_folder_is_told_by_the_settings_name(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("", encoding="utf-8")
    with pytest.raises(NoFolder, match=r"VAR_DIR names .*var, which cannot be made or is no folder"):
        running_postgres(tmp_path / "var" / "postgres").__enter__()
