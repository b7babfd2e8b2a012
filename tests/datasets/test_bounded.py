"""Archives that lie: bombs, paths outside, cut-off files; each refused in one line with memory bounded."""

import bz2
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest

from archrank.datasets.errors import DataError
from archrank.datasets.io import bounded


def make_zip(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_members_come_sorted(tmp_path):
    path = make_zip(tmp_path / "a.zip", **{"b.json": "2", "a.json": "1", "c.txt": "x"})
    assert list(bounded.zip_members(path, ".json")) == [("a.json", b"1"), ("b.json", b"2")]


def test_zip_bomb_stops_at_the_limit_whatever_it_says_about_its_size(tmp_path):
    path = make_zip(tmp_path / "bomb.zip", **{"a.json": b"0" * (64 << 20)})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (10).to_bytes(4, "little")  # the directory claims ten bytes
    lying = tmp_path / "lying.zip"
    lying.write_bytes(data)
    for file in (path, lying):
        tracemalloc.start()
        with pytest.raises(DataError, match="bomb.zip|lying.zip"):
            list(bounded.zip_members(file, ".json", limit=1 << 20))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()


def test_bz2_bomb_stops_at_the_limit(tmp_path):
    path = tmp_path / "bomb.bz2"
    path.write_bytes(bz2.compress(bytes(64 << 20)))
    tracemalloc.start()
    with pytest.raises(DataError, match="more than"):
        bounded.read_bz2(path, limit=1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    path.write_bytes(bz2.compress(bytes(range(256)) * 50)[:-9])
    with pytest.raises(DataError, match="not a complete bz2"):
        bounded.read_bz2(path)


@pytest.mark.parametrize("name", ["../up.json", "/etc/x.json", "a/../../b.json", "C:\\x.json", "..\\up.json"])
def test_member_outside_the_archive_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="outside the archive"):
        list(bounded.zip_members(make_zip(tmp_path / "a.zip", **{name: "1"}), ".json"))


def test_damaged_archive_is_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", **{"a.json": b"12345" * 1000})
    data = bytearray(path.read_bytes())
    (tmp_path / "cut.zip").write_bytes(data[:-30])
    with pytest.raises(DataError, match="complete zip"):
        list(bounded.zip_members(tmp_path / "cut.zip", ".json"))
    newer = bytearray(data)
    newer[data.index(b"PK\x01\x02") + 6] = 99  # the version that is needed to unpack it
    (tmp_path / "new.zip").write_bytes(newer)
    with pytest.raises(DataError, match="complete zip"):
        list(bounded.zip_members(tmp_path / "new.zip", ".json"))
    data[40] ^= 0xFF
    (tmp_path / "bad.zip").write_bytes(data)
    with pytest.raises(DataError, match="fetch"):
        list(bounded.zip_members(tmp_path / "bad.zip", ".json"))


def test_a_value_is_quoted_in_short_whatever_it_is():
    deep = tangled = 1.0
    for _ in range(20_000):
        deep = [deep]
    for _ in range(40):
        tangled = [tangled, tangled]
    assert all(
        len(bounded.shown(value)) < 100
        for value in (deep, tangled, {1: tangled}, "x" * 1000, 10**5000, np.zeros(999), range(5))
    )
    assert bounded.shown(1.5) == "1.5" and bounded.shown("a\nb") == "'a\\nb'"


def test_parquet_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    pd.DataFrame({"x": [[1.0] * 1000] * 100}).to_parquet(tmp_path / "x.parquet")
    assert len(bounded.read_parquet(tmp_path / "x.parquet")) == 100
    monkeypatch.setattr(bounded, "VALUES_LIMIT", 99_999)
    monkeypatch.setattr(bounded, "VALUES_PER_BYTE", 1)
    with pytest.raises(DataError, match="100,100 values; at most"):
        bounded.read_parquet(tmp_path / "x.parquet")


def test_json_that_is_none(tmp_path):
    path = tmp_path / "x.json"
    for text in ("{", "[" * 100_000, "\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(DataError, match="not JSON"):
            bounded.read_json(path)
    with pytest.raises(DataError, match="cannot be read"):
        bounded.read_json(tmp_path / "nowhere.json")
