"""Where the real benchmark files are, for tests that need them."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).resolve()


@pytest.fixture(scope="session")
def real_data():
    """The folder with official benchmark files, or a visible skip."""
    named = [Path(part) for part in os.environ.get("ARCHRANK_DATA", "").split(os.pathsep) if part]
    for folder in (*named, HERE.parents[3] / "shared" / "data"):
        if folder.is_dir():
            return folder
    pytest.skip("needs real benchmark tables in $ARCHRANK_DATA or ../shared/data")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, no data folder: what a fresh machine has."""
    monkeypatch.setenv("ARCHRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ARCHRANK_TABLES", str(tmp_path / "tables"))
    monkeypatch.delenv("ARCHRANK_DATA", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "cache"
