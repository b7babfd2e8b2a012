"""Files that lie about their size, are no files, take another's name, or break off between table and card: one line
each, in bounded memory."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import resource
import tarfile
import time
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archrank.datasets import catalog
from archrank.datasets.benchmark import read_benchmark, write_benchmark
from archrank.datasets.custom.files import read_custom
from archrank.datasets.errors import ArchrankError, DataError
from archrank.datasets.io import bounded, safe_pickle
from tests.datasets.test_benchmark import table


def peak():
    """Most memory this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_that_unpack_at_once_are_refused(tmp_path, packing):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", packing) as archive:
        archive.writestr("a.json", bytes(1 << 20))
    with pytest.raises(DataError, match="is packed by (bzip2|lzma); only stored and deflated"):
        list(bounded.zip_members(tmp_path / "a.zip", ".json"))


@pytest.mark.parametrize("opener", [open, gzip.open, bz2.open, lzma.open])
def test_tars_are_read_packed_or_not(tmp_path, opener):
    with opener(tmp_path / "a.tar", "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("b/x.json", "a.txt", "c.json"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"123"))
    assert [(name, stream.read()) for name, stream in bounded.tar_members(tmp_path / "a.tar", ".json")] == [
        ("b/x.json", b"123"),
        ("c.json", b"123"),
    ]


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_headers_of_a_tar_are_bounded(tmp_path, kind):
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 256 << 20
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(bytes(4 << 20))
    before = peak()
    with pytest.raises(DataError, match="a header of more than"):
        list(bounded.tar_members(tmp_path / "a.tar.gz", ".json"))
    assert peak() - before < 64


def test_a_text_in_many_rows_is_held_once(tmp_path):
    rows = 3000
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * (1 << 20)]))
    pq.write_table(
        pa.table({"a": values, "l": pa.array([["a", "b"]] * rows)}), tmp_path / "x.parquet", store_schema=False
    )
    before = peak()
    frame = bounded.read_parquet(tmp_path / "x.parquet")
    assert (
        len(frame) == rows
        and len(frame["a"].iloc[7]) == 1 << 20
        and list(frame["l"].iloc[0]) == ["a", "b"]
        and peak() - before < 300
    )


def test_a_list_of_far_more_values_than_its_file_has_bytes_is_refused(tmp_path):
    pq.write_table(pa.table({"edges": pa.array([np.zeros(20_000_000, np.int8)])}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="20,000,001 values; at most .* and 16,777,216"):
        bounded.read_parquet(tmp_path / "x.parquet")


def test_texts_that_are_no_utf8_and_names_with_line_breaks_are_one_line(tmp_path):
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )
    pq.write_table(pa.table({"arch": broken, "ops": [["a", "b"]], "edges": [[0, 1]]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="not UTF-8|not a readable") as refused:
        read_custom(tmp_path / "x.parquet")
    assert "\n" not in str(refused.value)
    pd.DataFrame({"op\ns\x1b[2J": [1]}).to_parquet(tmp_path / "y.parquet")
    with pytest.raises(DataError, match=r"it has: op\\ns\\x1b\[2J") as refused:
        read_custom(tmp_path / "y.parquet")
    assert "\n" not in str(refused.value) and str(ArchrankError("a\nb")) == r"a\nb"


@pytest.mark.parametrize("damage", range(8))
def test_a_broken_footer_is_one_line(tmp_path, damage):
    path = write_benchmark(tmp_path, *table())
    data = bytearray(path.read_bytes())
    draw = np.random.default_rng(damage)
    for place in draw.integers(len(data) - 600, len(data), 12):
        data[place] = draw.integers(256)
    path.write_bytes(data)
    with pytest.raises(DataError) as refused:
        read_benchmark(path, checked=False)
    assert "\n" not in str(refused.value)


def test_integers_beyond_float_are_no_score(tmp_path):
    pd.DataFrame({"ops": [["a", "b"]] * 2, "edges": [[0, 1]] * 2, "score": [f"{10**400}", "1"]}).to_csv(
        tmp_path / "x.csv", index=False
    )
    pd.DataFrame({"ops": ["a b"] * 2, "edges": ["0>1"] * 2, "score": [f"{10**400}", "1"]}).to_csv(
        tmp_path / "x.csv", index=False
    )
    with pytest.raises(DataError, match="line 2: 'score' is .*not a finite number"):
        read_custom(tmp_path / "x.csv")


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_is_no_regular_file_is_refused(tmp_path, kind):
    path = tmp_path / "x.csv"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for read in (bounded.read_bytes, bounded.read_bz2, read_custom, lambda file: list(bounded.zip_members(file, ""))):
        with pytest.raises(DataError, match="not a regular file"):
            read(path)


def test_one_graph_of_thirty_thousand_nodes_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("ops,edges,score\n" + " ".join("a" * 30_000) + ",0>1,1\na a,0>1,2\n")
    before = peak()
    with pytest.raises(DataError, match="line 2: the graph has 30,000 nodes; at most 10,000"):
        read_custom(path)
    assert peak() - before < 200


def test_pickles_of_nothing_and_of_colliding_keys_are_refused():
    empty = pickle.dumps(np.zeros((0, 1 << 26), np.int8), 2)
    with pytest.raises(DataError, match="an empty array of shape"):
        safe_pickle.loads(empty, "x")
    start = time.process_time()
    for colliding in ({i * ((1 << 61) - 1): 0 for i in range(1, 3000)}, {i * ((1 << 61) - 1) for i in range(1, 3000)}):
        for protocol in (1, 2, 4):
            with pytest.raises(DataError, match="keys that collide"):
                safe_pickle.loads(pickle.dumps(colliding, protocol), "x")
    assert time.process_time() - start < 3
    plain = {"names": {i: float(i) for i in range(3000)}, "pairs": {(i, "a"): i for i in range(3000)}}
    assert safe_pickle.loads(pickle.dumps(plain, 2), "x") == [plain]


@pytest.mark.parametrize("stops_at", range(3))
def test_an_import_that_is_killed_leaves_the_old_table_or_the_new_one(tmp_path, monkeypatch, stops_at):
    frame, card = table()
    old = read_benchmark(write_benchmark(tmp_path, frame, card)).content_hash
    new = read_benchmark(write_benchmark(tmp_path / "other", frame.assign(accuracy=[3.0, 2.0, 1.0]), card)).content_hash
    steps = iter(range(3))

    def replace(source, target, real=os.replace):
        if next(steps) == stops_at:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        write_benchmark(tmp_path, frame.assign(accuracy=[3.0, 2.0, 1.0]), card)
    monkeypatch.undo()
    assert read_benchmark(tmp_path / "tiny.json").content_hash == (new if stops_at == 2 else old)


def test_a_table_under_another_card_is_refused(tmp_path):
    path = write_benchmark(tmp_path, *table())
    table()[0].assign(accuracy=[3.0, 2.0, 1.0]).to_parquet(path)
    with pytest.raises(DataError, match="not the table that its card describes"):
        read_benchmark(path)


def test_official_names_cannot_be_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ARCHRANK_TABLES", str(tmp_path / "tables"))
    monkeypatch.setenv("ARCHRANK_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    frame, card = table()
    for name in ("nasbench101", "digits101"):
        write_benchmark(tmp_path, frame, card | {"name": name})
        with pytest.raises(DataError, match=f"'{name}' is the name of a benchmark that archrank comes with"):
            catalog.card_path(str(tmp_path / f"{name}.json"))
    assert (
        catalog.available()["nasbench101"] != "custom"
        and len(catalog.load("digits101")) > 3
        and len(catalog.shadowing()) == 2
    )
    path = write_benchmark(tmp_path, frame, card).with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "nasbench101"}))
    with pytest.raises(DataError, match="the card calls the benchmark 'nasbench101'"):
        catalog.load("tiny")


def test_an_official_table_that_is_not_what_its_name_promises_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ARCHRANK_TABLES", str(tmp_path / "tables"))
    monkeypatch.setenv("ARCHRANK_DATA", str(tmp_path))
    (tmp_path / "nasbench_graph").mkdir()
    entry = {"valid_perf": 0.8, "perf": 0.79, "latency": 0.01, "para": 1.5}
    (tmp_path / "nasbench_graph" / "cora.bench").write_bytes(
        pickle.dumps({code: dict(entry, perf=0.5 + code / 1e6) for code in range(5)})
    )
    actual = catalog.load("nasbench_graph_cora")
    assert "not the official table: architectures 5 (known: 26,206)" in actual.card.title and actual.card.facts.departs
    assert "not the official table" in catalog.titles()["nasbench_graph_cora"]


@pytest.mark.parametrize("opener", [open, gzip.open, bz2.open, lzma.open])
def test_a_tar_that_breaks_off_inside_a_member_is_refused_by_who_reads_it(tmp_path, opener):
    path = tmp_path / "a.tar"
    with opener(path, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("x.json")
        member.size = 300_000
        archive.addfile(member, io.BytesIO(np.random.default_rng(0).bytes(member.size)))
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(DataError, match=r"a\.tar: not a complete tar archive"):
        for _, stream in bounded.tar_members(path, ".json"):
            bounded.read_stream(stream, 1 << 20, str(path))
