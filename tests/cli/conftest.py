"""The empty database of the tests of keeping."""

from __future__ import annotations

from tests.features.keeping.conftest import empty_database

__all__ = ["empty_database"]
