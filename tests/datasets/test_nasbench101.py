"""NAS-Bench-101: official hashes, the values of real files, invented files in the official form, and damaged ones."""

import base64
import json
import struct

import numpy as np
import pytest

from archrank.datasets import nb101_cells
from archrank.datasets.benchmark import build
from archrank.datasets.errors import DataError
from archrank.datasets.importers import nasbench101 as source
from archrank.datasets.io import tfrecord
from tests.datasets import synthetic_nb101 as made

CELL = nb101_cells.NB101Cell((0, 1, 2, 4), ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3)))
GOOD = made.record(CELL, 108, made.metrics(0.9, 0.89, 100.0, 5))


@pytest.mark.data
@pytest.mark.parametrize(("variant", "count", "repeats"), [("ecnas_4v", 91, 3), ("ecnas_5v", 2532, None)])
def test_ec_nas_hashes_are_reproduced(real_data, variant, count, repeats):
    frame, card = source.read(source.locate(real_data, variant), variant)  # raises where a hash differs
    benchmark = build(frame, card)
    assert len(benchmark) == len(set(benchmark.key)) == count
    runs = benchmark.repeats(benchmark.default_target)
    assert runs is None if repeats is None else runs.shape == (count, repeats)
    if runs is not None:
        np.testing.assert_allclose(runs.mean(1), benchmark.target())
        # Accuracies are multiples of 1/9984 (up to the float32 they were stored in).
        assert np.abs(runs * 99.84 - np.round(runs * 99.84)).max() < 1e-3
    for row in (0, 17, count - 1):
        cell = nb101_cells.NB101Cell.from_flat(frame["ops"][row], frame["edges"][row])
        assert cell.hash == benchmark.key[row] and nb101_cells.prune(cell) == cell


@pytest.mark.data
def test_json_cells_are_292_graphs(real_data):
    frame, card = source.read(source.locate(real_data, "cells"), "cells")
    benchmark = build(frame, card)
    assert len(benchmark) == 292 and benchmark.default_target == "cifar10_val"
    assert 9 < benchmark.target().min() < benchmark.target().max() < 96
    proxies = [name for name, one in benchmark.card.metrics.items() if one.proxy]
    assert {"snip", "jacov"} <= set(proxies) and np.isfinite(benchmark.scores[proxies]).all(axis=None)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (5, "needs 'nasbench101' / 'cifar10'"),
        ([], "needs 'nasbench101' / 'cifar10'"),
        ({}, "holds no cell"),
        ({"(1,)": {}}, "49 adjacency entries"),
        ({str((0, 1, *[0] * 54)): {}}, "no path"),
        ({str((0,) * 6 + (1,) + (0,) * 48 + (1,)): []}, r"\[\] is no dictionary"),
        ({str((0,) * 6 + (1,) + (0,) * 48 + (1,)): {}}, "val_accuracy: None is not a number"),
    ],
)
def test_wrong_json_cells_are_refused(tmp_path, entries, says):
    path = tmp_path / "cells_108epochs.json"
    path.write_text(json.dumps({"nasbench101": {"cifar10": entries}}))
    with pytest.raises(DataError, match=says):
        source.read(path, "cells")


def test_official_form_comes_back_exactly(tmp_path):
    path = tmp_path / "nasbench101" / "nasbench_full.tfrecord"
    path.parent.mkdir()
    cells = made.write(path, 300, epochs=(4, 108))
    assert source.locate(tmp_path) == path
    frame, card = source.read(path)
    benchmark = build(frame, card)
    assert list(benchmark.arch) == [cell.hash for cell in cells]  # file order: the NAR protocol depends on it
    assert [tuple(ops) for ops in frame["ops"]] == [cell.ops for cell in cells]
    assert benchmark.target("parameters").tolist() == [1_000_000 + number for number in range(300)]
    assert benchmark.target("train_seconds_4").tolist() == [40.0] * 300
    np.testing.assert_allclose(benchmark.repeats("cifar10_val") - benchmark.repeats("cifar10_test"), 1.0)
    assert set(benchmark.targets) == {
        f"{name}{suffix}" for name in ("cifar10_val", "cifar10_test", "train_seconds") for suffix in ("", "_4")
    } | {"parameters"}


def test_missing_run_leaves_a_hole_and_the_mean_of_the_others(tmp_path):
    path = tmp_path / "a.tfrecord"
    other = nb101_cells.NB101Cell((0, 3, 4), ((0, 1), (1, 2)))
    runs = [(CELL, 0.9), (CELL, 0.8), (other, 0.7)]
    path.write_bytes(b"".join(made.frame(made.record(cell, 108, made.metrics(acc, acc, 1.0, 5))) for cell, acc in runs))
    frame, _ = source.read(path)
    np.testing.assert_allclose(frame["cifar10_val"], [85.0, 70.0])
    assert frame["cifar10_val_run2"].isna().tolist() == [False, True]


def test_raw_cell_is_pruned_before_it_is_hashed():
    dangling = nb101_cells.NB101Cell((0, 1, 3, 4), ((0, 1), (0, 2), (1, 3)))
    bits = "".join(str(int(bit)) for row in dangling.matrix for bit in row)
    cell = source.parse_cell(bits, "input,conv1x1-bn-relu,maxpool3x3,output", "here")
    assert cell.ops == (0, 1, 4) and cell.edges == ((0, 1), (1, 2))


def changed(**parts):
    entry = dict(zip(("name", "epochs", "bits", "ops", "metrics"), json.loads(GOOD)))
    return made.frame(json.dumps(list((entry | parts).values())).encode())


def packed(*arguments):
    return base64.b64encode(made.metrics(*arguments)).decode()


LENGTH = struct.pack("<Q", 10 * 1024**3)
HOSTILE = {
    "ten gigabytes announced": (
        LENGTH + struct.pack("<I", tfrecord.masked_crc(LENGTH)) + b"x" * 50,
        "10,737,418,240 bytes",
    ),
    "length damaged": (LENGTH + b"\0\0\0\0" + b"x" * 50, "length is damaged"),
    "cut in the header": (made.frame(GOOD) + made.frame(GOOD)[:7], "record 1 is cut off"),
    "cut in the payload": (made.frame(GOOD)[:-9], "record 0 is cut off"),
    "not JSON": (made.frame(b"\x80\x04hello"), "not a NAS-Bench-101 record"),
    "too few entries": (made.frame(b'["ab", 108]'), "not a NAS-Bench-101 record"),
    "other epochs": (changed(epochs=107), "not a NAS-Bench-101 record"),
    "hash of another cell": (changed(name="0" * 32), "hashes to"),
    "unknown operation": (changed(ops="input,conv9x9,conv3x3-bn-relu,output"), "unknown operation 'conv9x9'"),
    "cyclic": (changed(bits="0110001110010000"), "backwards"),
    "unconnected": (changed(bits="0" * 16), "no path"),
    "wrong size": (changed(bits="01"), "no cell of"),
    "damaged message": (changed(metrics="AAAA"), "not a NAS-Bench-101 record"),
    "message without scores": (changed(metrics=base64.b64encode(b"\x10\x05").decode()), "missing"),
    "NaN": (changed(metrics=packed(float("nan"), 0.8, 1.0, 5)), "not measured values"),
    "infinite": (changed(metrics=packed(0.9, float("inf"), 1.0, 5)), "not measured values"),
    "infinite time": (changed(metrics=packed(0.9, 0.8, float("inf"), 5)), "not measured values"),
    "four runs": (made.frame(GOOD) * 4, "more than 3 runs"),
    "empty": (b"", "no record"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_damaged_file_is_refused_in_one_line(tmp_path, case):
    data, says = HOSTILE[case]
    path = tmp_path / "bad.tfrecord"
    path.write_bytes(data)
    with pytest.raises(DataError, match=says) as caught:
        source.read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    import tracemalloc

    monkeypatch.setattr(source, "_GROW", 64)
    path = tmp_path / "a.tfrecord"
    made.write(path, 250, epochs=(4, 12, 36, 108))
    tracemalloc.start()
    source.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 2
