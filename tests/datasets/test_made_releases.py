"""NAS-Bench-ASR, DeepNets-1M and NNLQP, whose releases are not at hand: files made in the published form, and damaged
ones."""

import io
import json
import pickle
import tarfile

import numpy as np
import pytest

from archrank.datasets.benchmark import build
from archrank.datasets.errors import DataError
from archrank.datasets.importers import deepnets1m, nasbench_asr, nnlqp
from archrank.datasets.io.onnx import parse_onnx

VECTORS = [[[0, 1], [1, 0, 0], [4, 0, 1, 0]], [[5, 0], [5, 0, 0], [5, 0, 0, 0]], [[2, 0], [3, 1, 1], [0, 1, 1, 1]]]


def asr(folder, change=lambda seed, rows: rows, kind="training"):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in zip(nasbench_asr.SEEDS, nasbench_asr.TRAINED):
        rows = [
            [f"hash{at}", [0.95, 0.3 + at / 10 + seed / 1e5, 0.9], 0.35 + at / 10, vector]
            for at, vector in enumerate(VECTORS)
        ]
        header = {
            "dataset_type": kind,
            "seed": seed,
            "columns": ["model_hash", "val_per", "test_per", "arch_vec"],
            "version": 1,
        }
        (folder / name).write_bytes(pickle.dumps(header) + pickle.dumps(change(seed, rows)))
    for device, name in zip(nasbench_asr.DEVICES, nasbench_asr.TIMED):
        header = {"dataset_type": "benchmarking", "device": device, "columns": ["model_hash", "latency"], "version": 1}
        (folder / name).write_bytes(pickle.dumps(header) + pickle.dumps([["hash1", 0.02], ["hash0", 0.01]]))
    header = {"dataset_type": "static", "columns": ["model_hash", "params", "flops", "arch_vec"], "version": 2}
    (folder / nasbench_asr.STATIC).write_bytes(
        pickle.dumps(header) + pickle.dumps([[f"hash{at}", 100 * at, 1, 0] for at in range(3)])
    )
    return folder


def test_speech_release(tmp_path):
    asr(tmp_path / "nasbench_asr")
    frame, card = nasbench_asr.read(nasbench_asr.locate(tmp_path))
    benchmark = build(frame, card)
    assert list(benchmark.arch) == ["linear1-conv500-conv7d2010", "zero0-zero00-zero000", "conv5d20-conv711-linear111"]
    np.testing.assert_allclose(benchmark.target(), [0.31235, 0.41235, 0.51235])
    np.testing.assert_allclose(benchmark.repeats("val_per")[0], [0.31234, 0.31235, 0.31236])
    np.testing.assert_array_equal(benchmark.target("latency_jetson_nano"), [0.01, 0.02, np.nan])
    assert benchmark.target("parameters").tolist() == [0, 100, 200] and benchmark.direction("val_per") == "min"
    # Chain without branches: input, three operations, output.
    assert benchmark.ops[1, :5].tolist() == [0, 6, 6, 6, 8] and benchmark.adj[1].sum() == 4
    # First step of the first: linear and a skip of the input, both read by the second operation.
    words = [nasbench_asr.OPS[op] for op in benchmark.ops[0][benchmark.mask[0]]]
    assert words == ["input", "linear", "skip", "conv5", "conv7d2", "skip", "output"]
    assert np.argwhere(benchmark.adj[0]).tolist() == [
        [0, 1],
        [0, 2],
        [1, 3],
        [1, 5],
        [2, 3],
        [2, 5],
        [3, 4],
        [4, 6],
        [5, 6],
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda seed, rows: rows[: 2 if seed == 1235 else 3], "covers other models"),
        (lambda seed, rows: [[*rows[0][:1], [float("nan")], *rows[0][2:]], *rows[1:]], "not finite"),
        (lambda seed, rows: [[*rows[0][:2], float("inf"), rows[0][3]], *rows[1:]], "finite"),
        (lambda seed, rows: [[*rows[0][:3], [[9, 0], [0, 0, 0], [0, 0, 0, 0]]], *rows[1:]], "operation 9"),
        (lambda seed, rows: [[*rows[0][:3], [[0, 0]]], *rows[1:]], "has 3 steps"),
        (lambda seed, rows: [rows[0], *rows], "repeats model"),
        (lambda seed, rows: [], "holds no row"),
    ],
)
def test_wrong_speech_files_are_refused(tmp_path, change, says):
    with pytest.raises(DataError, match=says):
        nasbench_asr.read(asr(tmp_path, change))


def test_mixed_up_speech_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="mixed up"):
        nasbench_asr.read(asr(tmp_path, kind="static"))


KINDS = {0: "input", 1: "conv_3x3", 2: "sep_conv_5x5", 3: "max_pool_3x3", 4: "fc-b", 5: "sum", 6: "glob_avg"}


def chain(count, extra=()):
    lengths = np.zeros((count, count), np.uint8)
    for u in range(count):
        for v in range(u + 1, count):
            lengths[u, v] = min(v - u, 50)
    for u, v in extra:
        lengths[u, v] = 1
    nodes = np.zeros((count, 5), np.uint16)
    nodes[1:, 0] = 1 + np.arange(count - 1) % 6
    return lengths, nodes


def deepnets(folder, sizes, change=lambda part, number, lengths, nodes: (lengths, nodes), packed=False):
    h5py = pytest.importorskip("h5py")
    folder.mkdir(parents=True)
    meta = {part: {"meta": {"primitives_ext": KINDS, "unique_op_names": {}}, "nets": []} for part in ("val", "test")}
    with h5py.File(folder / deepnets1m.GRAPHS, "w") as store:
        for part in ("val", "test"):
            for number, size in enumerate(sizes):
                lengths, nodes = change(part, number, *chain(size, [(0, size - 1)]))
                store[f"{part}/{number}/adj"], store[f"{part}/{number}/nodes"] = lengths, nodes
    text = json.dumps(meta).encode()
    if packed:
        with tarfile.open(folder / deepnets1m.PACKED_META, "w:gz") as archive:
            member = tarfile.TarInfo(deepnets1m.META)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    else:
        (folder / deepnets1m.META).write_bytes(text)
    for data_set, file in deepnets1m.LABELS.items():
        shift = 10.0 if data_set == "imagenet" else 0.0
        entry = {
            part: {
                str(n): {
                    "val_acc": 80.0 + n - shift,
                    "val_acc_noise": 40.0,
                    "time": 5.0,
                    "converge_time": 0.5,
                    "params": 1000 + n,
                }
                for n in range(len(sizes))
            }
            for part in ("val", "test")
        }
        (folder / file).write_text(json.dumps(entry))
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_whole_networks_in_the_official_layout(tmp_path, packed):
    deepnets(tmp_path / "deepnets1m", (5, 12, 300), packed=packed)
    frame, card = deepnets1m.read(deepnets1m.locate(tmp_path))
    benchmark = build(frame, card)
    assert list(benchmark.arch) == ["val/0", "val/1", "val/2", "test/0", "test/1", "test/2"]
    assert benchmark.mask.sum(1).tolist() == [5, 12, 300] * 2 and benchmark.adj.sum((1, 2)).tolist() == [5, 12, 300] * 2
    words = [benchmark.space.ops[op] for op in benchmark.ops[1, :8]]
    assert words == ["input", "conv", "sep_conv", "max_pool", "bias", "sum", "glob_avg", "conv"]
    assert benchmark.target("imagenet_val").tolist() == [70.0, 71.0, 72.0] * 2
    assert benchmark.key[0] == benchmark.key[3] != benchmark.key[1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p, n, lengths, nodes: (lengths + lengths.T, nodes), "goes backwards"),
        (lambda p, n, lengths, nodes: (lengths[:-1, :-1], nodes), "do not fit"),
        (lambda p, n, lengths, nodes: (lengths, nodes + 20), "not in the meta data"),
    ],
)
def test_wrong_networks_are_refused(tmp_path, change, says):
    with pytest.raises(DataError, match=says):
        deepnets1m.read(deepnets(tmp_path / "a", (5, 6), change))


def test_damaged_hdf5_and_missing_labels_are_refused(tmp_path):
    folder = deepnets(tmp_path / "a", (5, 6))
    whole = (folder / deepnets1m.GRAPHS).read_bytes()
    (folder / "results_cifar10.json").write_text(json.dumps({"val": {}, "test": {}}))
    (folder / "results_imagenet.json").write_text(json.dumps({"val": {}, "test": {}}))
    with pytest.raises(DataError, match="has no labels"):
        deepnets1m.read(folder)
    (folder / deepnets1m.GRAPHS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="HDF5"):
        deepnets1m.read(folder)


@pytest.mark.data
def test_real_labels_have_their_known_correlations(real_data):
    from scipy.stats import kendalltau

    rows = deepnets1m.labels(real_data / "deepnets1m", "test")
    assert len(rows) == len(deepnets1m.labels(real_data / "deepnets1m", "val")) == 500
    columns = {name: [row[name] for row in rows.values()] for name in next(iter(rows.values()))}
    for data_set, expected in (("cifar10", (-0.405, -0.109, -0.588)), ("imagenet", (0.174, -0.092, -0.797))):
        for short, tau in zip(("val_noise", "time", "converge_time"), expected):
            assert kendalltau(columns[f"{data_set}_val"], columns[f"{data_set}_{short}"]).statistic == pytest.approx(
                tau, abs=6e-4
            )


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def field(tag, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(tag << 3 | 2) + varint(len(data)) + data


def onnx(steps, inputs=("x",), outputs=("y",), weights=("w",)):
    """A ModelProto, by hand: steps are (op, inputs, outputs)."""
    body = b"".join(
        field(
            1,
            b"".join(field(1, name) for name in sources) + b"".join(field(2, name) for name in results) + field(4, op),
        )
        for op, sources, results in steps
    )
    body += b"".join(field(5, field(8, name) + field(9, bytes(300))) for name in weights)
    body += b"".join(field(11, field(1, name)) for name in (*inputs, *weights)) + b"".join(
        field(12, field(1, name)) for name in outputs
    )
    return b"\x08\x07" + field(7, body)


NETWORK = [("Conv", ("x", "w"), ("a",)), ("Relu", ("a",), ("b",)), ("Add", ("b", "a"), ("y",))]


def test_onnx_networks(tmp_path):
    folder = tmp_path / "nnlqp"
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "a.onnx").write_bytes(onnx(NETWORK))
    (folder / "onnx" / "b.onnx").write_bytes(onnx(NETWORK[:1], outputs=("a",)))
    (folder / "gt.txt").write_text(
        "0 onnx/a.onnx 1 2.5 resnet 23 train\n1 onnx/b.onnx 1 1.5 resnet 23 test\n2 onnx/a.onnx 1 9 resnet 3 train\n"
    )
    frame, card = nnlqp.read(nnlqp.locate(tmp_path))
    benchmark = build(frame, card)
    assert benchmark.space.ops == ("input", "Add", "Conv", "Relu", "output") and list(benchmark.arch) == [
        "onnx/a",
        "onnx/b",
    ]
    assert benchmark.ops[0].tolist() == [0, 2, 3, 1, 4] and benchmark.ops[1, :3].tolist() == [0, 2, 4]
    assert np.argwhere(benchmark.adj[0]).tolist() == [[0, 1], [1, 2], [1, 3], [2, 3], [3, 4]]
    np.testing.assert_array_equal(benchmark.target("latency_3"), [9, np.nan])
    assert benchmark.default_target == "latency_3" and benchmark.direction("latency_23") == "min"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "holds 0 operators"),
        (onnx(NETWORK)[:-40], "not a complete ONNX file"),
        (b"\xff" * 50, "not a complete ONNX file"),
        (onnx([("Add", ("x", "b"), ("a",)), ("Relu", ("a",), ("b",))]), "cyclic"),
    ],
)
def test_wrong_onnx_files_are_refused(data, says):
    with pytest.raises(DataError, match=says):
        parse_onnx(data, "a.onnx")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 ../../etc/passwd 1 2.5 resnet 23 train", "outside the archive"),
        ("0 a.onnx 1 nan resnet 23 train", "no measurement"),
        ("0 a.onnx 1 -2 resnet 23 train", "no measurement"),
        ("0 a.onnx one 2 resnet 23 train", "needs id"),
        ("0 missing.onnx 1 2 resnet 23 train", "cannot be read"),
        ("0 a.onnx 1 2 r 1 t\n1 a.onnx 1 3 r 1 t", "line 2: repeats"),
        ("", "no measurement"),
    ],
)
def test_wrong_measurements_are_refused(tmp_path, line, says):
    (tmp_path / "a.onnx").write_bytes(onnx(NETWORK))
    (tmp_path / "gt.txt").write_text(line + "\n")
    with pytest.raises(DataError, match=says):
        nnlqp.read(tmp_path)
