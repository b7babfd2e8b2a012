"""What importers make of made-up files where a slip would leave a table that looks right."""

import json
import os
import pickle
import zipfile

import networkx as nx
import numpy as np
import pytest

from archrank.datasets import load
from archrank.datasets.benchmark import build
from archrank.datasets.canonical import isomorphism_key
from archrank.datasets.errors import DataError
from archrank.datasets.importers import deepnets1m, hwnasbench, nasbench101, nnlqp
from archrank.datasets.io import bounded
from archrank.datasets.io.onnx import parse_onnx
from tests.datasets.test_made_releases import NETWORK, deepnets, onnx
from tests.datasets.test_nats_hw import ARCHS, hardware


def measured(folder, *lines):
    folder.mkdir(parents=True, exist_ok=True)
    for name in "ab":
        (folder / f"{name}.onnx").write_bytes(onnx(NETWORK))
    (folder / "gt.txt").write_text("".join(f"{number} {line} made 1 train\n" for number, line in enumerate(lines)))
    return folder


def test_a_table_is_made_again_when_its_file_changes(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHRANK_DATA", str(tmp_path / "data"))
    folder = measured(tmp_path / "data" / "nnlqp", "a.onnx 1 2.5", "b.onnx 1 3.5")
    first = load("nnlqp")
    assert first.target().tolist() == [2.5, 3.5] and load("nnlqp") is first
    measured(folder, "a.onnx 1 2.5", "b.onnx 1 4.5")
    os.utime(folder / "gt.txt", ns=(0, 0))
    assert load("nnlqp").target().tolist() == [2.5, 4.5]


def test_one_network_at_two_batch_sizes_is_two_architectures(tmp_path):
    frame, _ = nnlqp.read(measured(tmp_path, "a.onnx 1 2", "a.onnx 8 9", "b.onnx 8 8"))
    assert list(frame["arch"]) == ["a@1", "a@8", "b@8"] and frame["key"][0] != frame["key"][1] == frame["key"][2]


def test_cells_that_are_one_graph_have_the_mean_of_their_runs(tmp_path):
    def entry(first, second, accuracy):  # JSON op ids: 0 input, 1 output, 3 and 4 convolutions
        adjacency = np.zeros((7, 7), int)
        adjacency[[0, 0, 1, 2], [1, 2, 6, 6]] = 1
        return {
            str((*adjacency.flatten().tolist(), 0, first, second, 2, 2, 2, 1)): {
                "val_accuracy": accuracy,
                "params": 1.5,
                "flops": 100.0,
            }
        }

    path = tmp_path / "cells.json"
    path.write_text(json.dumps({"nasbench101": {"cifar10": entry(3, 4, 90.0) | entry(4, 3, 92.0) | entry(3, 3, 89.0)}}))
    assert nasbench101.read(path, "cells")[0]["cifar10_val"].tolist() == [91.0, 89.0]


def test_of_the_hardware_quantities_only_arithmetic_intensity_is_better_when_higher(tmp_path):
    path = tmp_path / hwnasbench.PICKLE
    path.write_bytes(pickle.dumps(hardware(ARCHS)))
    metrics = hwnasbench.read(path)[1]["metrics"]
    higher = [name for name in metrics if metrics[name]["direction"] == "max"]
    assert higher == [f"{data_set}_eyeriss_arithmetic_intensity" for data_set in ("cifar10", "cifar100", "imagenet16")]


def test_whole_networks_written_from_target_to_source_are_turned_round(tmp_path):
    one, other = (
        deepnets1m.read(
            deepnets(tmp_path / name, (5, 12), lambda part, number, lengths, nodes, turn=turn: (turn(lengths), nodes))
        )
        for name, turn in (("a", np.asarray), ("b", np.transpose))
    )
    assert one[0].to_json() == other[0].to_json() and build(*one).adj[0, 0, 1]


def test_an_archive_has_limits_as_a_whole(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in "abc":
            archive.writestr(f"{name}.json", b"0" * 1000)
    for limit, value in (("ARCHIVE_LIMIT", 2999), ("MEMBERS_LIMIT", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(bounded, limit, value)
            with pytest.raises(DataError, match=r"a\.zip: .*refused"):
                list(bounded.zip_members(tmp_path / "a.zip", ".json"))
            patch.setattr(bounded, limit, value + 1)
            assert len(list(bounded.zip_members(tmp_path / "a.zip", ".json"))) == 3


def test_a_key_sees_what_lies_several_steps_up_and_down():
    # Crowns: sources marked by two de Bruijn words, in which all short stretches occur equally often, and a sink
    # between neighbours.
    words, size = [[int(bit) for bit in word] for word in ("0000100110101111", "0000100111101011")], 16
    links = np.zeros((2, 2 * size, 2 * size), int)
    for at in range(size):
        links[:, at, size + at] = links[:, at, size + (at + 1) % size] = 1
    ops = np.array([[*word, *[2] * size] for word in words])
    keys = isomorphism_key(ops, links, np.ones_like(ops, bool))
    drawn = [nx.from_numpy_array(link, create_using=nx.DiGraph) for link in links]
    for graph, kinds in zip(drawn, ops.tolist()):
        nx.set_node_attributes(graph, dict(enumerate(kinds)), "op")
    assert keys[0] != keys[1] and not nx.is_isomorphic(*drawn, node_match=lambda a, b: a == b)


@pytest.mark.parametrize("kind", ["soft", "external", "storage", "virtual", "wide", "text"])
def test_hdf5_data_that_is_not_plain_numbers_in_the_file_itself_is_refused(tmp_path, kind):
    h5py = pytest.importorskip("h5py")
    folder = deepnets(tmp_path / "deepnets1m", (5, 12))
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"\x01" * 4096)
    with h5py.File(tmp_path / "other.hdf5", "w") as other:
        other["nodes"] = np.zeros((5, 1))
    with h5py.File(folder / deepnets1m.GRAPHS, "r+") as store:
        group = store["val/0"]
        del group["nodes"]
        if kind == "soft":
            group["nodes"] = h5py.SoftLink("/val/1/nodes")
        elif kind == "external":
            group["nodes"] = h5py.ExternalLink(str(tmp_path / "other.hdf5"), "/nodes")
        elif kind == "storage":
            group.create_dataset("nodes", (5, 1), "i8", external=[(str(secret), 0, 40)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((5, 1), "f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.hdf5"), "nodes", (5, 1))
            group.create_virtual_dataset("nodes", layout)
        elif kind == "wide":
            group.create_dataset("nodes", (5, 10**9), "i8")  # 37 GiB asked for, nothing stored
        else:
            group["nodes"] = np.array([b"a" * 8] * 5)
    with pytest.raises(DataError, match=r"val/0.*'nodes'.*(refused|stored in the file itself)"):
        deepnets1m.read(folder)


def test_networks_outside_the_folder_and_data_outside_a_network_are_not_opened(tmp_path):
    """A link out of the folder is refused; the weights of an ONNX file, and where they say they lie, are not read."""
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(onnx(NETWORK))
    folder = measured(tmp_path / "nnlqp", "a.onnx 1 2", "b.onnx 1 3")
    (folder / "b.onnx").unlink()
    (folder / "b.onnx").symlink_to(outside)
    with pytest.raises(DataError, match="a link out of the folder"):
        nnlqp.read(folder)
    with pytest.raises(DataError, match="gt.txt: line 1"):
        (tmp_path / "up").mkdir()
        (tmp_path / "up" / "gt.txt").write_text("1 ../outside.onnx 1 2.0 family 1 train\n")
        nnlqp.read(tmp_path / "up")
    # TensorProto 13: external_data, 14: data_location; in initializer 5 of graph 7.
    path = b"\x0a\x08location\x12\x0b/etc/passwd"
    tensor = b"\x42\x01w" + b"\x6a" + bytes([len(path)]) + path + b"\x70\x01"
    plain = onnx(NETWORK)
    assert parse_onnx(plain, "a") == parse_onnx(_with_initializer(plain, tensor), "a")


def _with_initializer(model, tensor):
    """An ONNX model whose graph holds one more initializer."""
    from archrank.datasets.io import tfrecord

    (graph,) = [value for number, _, value in tfrecord.fields(model) if number == 7]
    graph = bytes(graph) + b"\x2a" + bytes([len(tensor)]) + tensor
    size, digits = len(graph), []
    while size > 127:
        digits.append(size & 127 | 128)
        size >>= 7
    return b"\x3a" + bytes([*digits, size]) + graph
