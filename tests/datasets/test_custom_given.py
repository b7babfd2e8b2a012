"""What a custom benchmark is given is held or refused with a line, never dropped or bent in silence."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import Data

from archrank.datasets import nb201_cells
from archrank.datasets.benchmark import Benchmark, read_benchmark, write_benchmark
from archrank.datasets.custom.files import read_custom
from archrank.datasets.custom.lists import parse_list
from archrank.datasets.custom.options import TableOptions
from archrank.datasets.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::archrank.datasets.errors.ArchrankWarning")
PAIRS = [(u, v) for v in range(4) for u in range(v)]
WORDS = ["none", "skip", "conv3", "conv1", "pool"]


def cells(count, node_ops=False):
    """Cells of NAS-Bench-201 as people draw them, operations on edges: networkx and PyG, and the operations."""
    draw = np.random.default_rng(0)
    for _ in range(count):
        ids = draw.integers(5, size=6)
        graph = nx.DiGraph()
        graph.add_nodes_from((n, {"op": "node"} if node_ops else {}) for n in range(4))
        graph.add_edges_from((u, v, {"op": WORDS[op]}) for (u, v), op in zip(PAIRS, ids))
        yield graph, Data(edge_index=torch.tensor(PAIRS).T, edge_attr=torch.tensor(ids), num_nodes=4), ids


def test_operations_on_edges_become_nodes():
    drawn, pyg, ids = zip(*cells(40))
    with pytest.warns(UserWarning, match="operations stood on edges; each became a node"):
        actual = Benchmark.from_graphs(list(drawn), np.arange(40.0))
    same = Benchmark.from_graphs(list(pyg), np.arange(40.0), ops=WORDS)
    names = ["input", *nb201_cells.OPS[1:-1], "output"]
    expected = Benchmark.from_graphs(
        [
            (
                ["input", *(["none", "skip", "conv3", "conv1", "pool"][op] for op in row), "output"],
                list(nb201_cells.EDGES),
            )
            for row in ids
        ],
        np.arange(40.0),
    )
    classes = actual.isomorphism_class
    assert (
        len(set(zip(classes, expected.isomorphism_class)))
        == len(set(classes))
        == len(set(zip(classes, same.isomorphism_class)))
    )
    assert actual.ops.shape == (40, len(names) + 1) and actual.space.roles.keys() == {"input", "output", "none", "skip"}


def test_what_cannot_be_held_is_refused():
    both = [graph for graph, _, _ in cells(4, node_ops=True)]
    with pytest.raises(DataError, match="row 0 and 3 more: nodes and edges carry operations .* op_on='edge'"):
        Benchmark.from_graphs(both, range(4))
    assert (
        len(Benchmark.from_graphs(both, range(4), op_on="edge")) == 4
        and Benchmark.from_graphs(both, range(4), op_on="node").ops.max() == 0
    )
    weighted = nx.DiGraph()
    weighted.add_nodes_from((n, {"op": "a"}) for n in range(2))
    weighted.add_edge(0, 1, weight=2.0)
    with pytest.raises(DataError, match="edges carry 'weight', which is not held"):
        Benchmark.from_graphs([weighted] * 2, [1, 2])
    with pytest.raises(DataError, match="edges carry 'edge_weight'"):
        Benchmark.from_graphs(
            [Data(x=torch.tensor([0, 1]), edge_index=torch.tensor([[0], [1]]), edge_weight=torch.ones(1))] * 2,
            [1, 2],
            ops=["a", "b"],
        )
    with pytest.raises(DataError, match="2 parallel edges 0 -> 1"):
        Benchmark.from_graphs([(["a", "b"], [(0, 1), (0, 1)])] * 2, [1, 2])


def chain(channels, label=None):
    graph = nx.DiGraph()
    graph.add_nodes_from(
        (i, {"op": op, "channels": channels, "kernel": 1 + i} | ({"label": label} if label else {}))
        for i, op in enumerate(["input", "conv", "output"])
    )
    graph.add_edges_from([(0, 1), (1, 2)])
    return graph


def test_numbers_at_nodes_become_attributes(tmp_path):
    actual = Benchmark.from_graphs([chain(8), chain(16), chain(8)], [1, 2, 3], name="chains", save_to=tmp_path)
    assert actual.space.attrs == ("channels", "kernel") and actual.attrs[1].tolist() == [[16, 1], [16, 2], [16, 3]]
    assert actual.key[0] == actual.key[2] != actual.key[1] and torch.equal(
        read_benchmark(tmp_path / "chains.json").graphs.attrs, actual.graphs.attrs
    )
    assert Benchmark.from_graphs([chain(8), chain(16)], [1, 2], node_attributes=["kernel"]).space.attrs == ("kernel",)
    with pytest.raises(
        DataError, match="node attribute 'label': node 0 has 'first', and what is no number at every node is not held"
    ):
        Benchmark.from_graphs([chain(8, "first")] * 2, [1, 2])
    with pytest.raises(DataError, match="row 1: node attribute 'channels' is not in every graph"):
        Benchmark.from_graphs([chain(8), (["input", "output"], [(0, 1)])], [1, 2])


def test_arrays_and_tensors_are_taken():
    ids, edges, scores = np.array([0, 1, 2]), [(0, 1), (1, 2)], np.arange(3.0)
    graph = nx.DiGraph()
    graph.add_nodes_from((n, {"op": op}) for n, op in enumerate(ids))
    graph.add_edges_from(edges)
    forms = [
        graph,
        (ids, np.array(edges)),
        (torch.tensor(ids), torch.tensor(edges)),
        (list(ids), [tuple(map(np.int32, edge)) for edge in edges]),
    ]
    for form in forms:
        for values in (
            scores,
            torch.tensor(scores),
            {"score": list(torch.tensor(scores))},
            pd.DataFrame({"score": scores}),
        ):
            actual = Benchmark.from_graphs([form] * 3, values, ops=["a", "b", "c"], arch=np.array(["x", "y", "z"]))
            assert (
                actual.ops.tolist() == [[0, 1, 2]] * 3
                and actual.target().tolist() == [0, 1, 2]
                and actual.arch.tolist() == ["x", "y", "z"]
            )
    for wrong, says in (
        ({"acc": np.ones((3, 2))}, "one number per architecture"),
        ([1, 2, 3j], "'score' is 3j, not a finite"),
        (7, "no list of numbers"),
    ):
        with pytest.raises(DataError, match=says):
            Benchmark.from_graphs([forms[1]] * 3, wrong, ops=["a", "b", "c"])
    with pytest.raises(DataError, match="has no edge_index"):
        Benchmark.from_graphs([Data(x=torch.tensor(ids))] * 2, [1, 2], ops=["a", "b", "c"])
    with pytest.raises(DataError, match=r"role 'input' names \['a', 'b'\]; name one operation"):
        Benchmark.from_graphs([forms[1]] * 2, [1, 2], ops=["a", "b", "c"], roles={"input": ["a", "b"]})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("['input', 'conv']", ["input", "conv"]),
        ("['a' 'b']", ["a", "b"]),
        ("[0 0 1]", [0, 0, 1]),
        ("[(0, 1), (1, 2)]", [[0, 1], [1, 2]]),
        ("[[0 1]\n [1 2]]", [[0, 1], [1, 2]]),
        ("[np.int64(0), np.int64(2)]", [0, 2]),
        ("(1, )", [1]),
        ("[]", []),
        ("[1.5e1]", [15.0]),
    ],
)
def test_lists_as_programs_write_them(text, found):
    assert parse_list(text) == found


@pytest.mark.parametrize(
    "text",
    ["[1, 2", "[1,,2]", "[1 ... 2]", "[__import__('os')]", "[1)]", "[[[[[1]]]]]", "[1] [2]", "", "[,]", "['a\\x00']"],
)
def test_what_is_no_list_is_refused(text):
    with pytest.raises(DataError, match="is no list"):
        parse_list(text)


def table(path, columns, count=12):
    rows = {"arch": [f"a{i}" for i in range(count)], "ops": ["input conv output"] * count, "edges": ["0>1 1>2"] * count}
    pd.DataFrame(rows | columns).to_csv(path, index=False)
    return path


def test_numbers_of_rows_and_trainings_are_no_score(tmp_path):
    scores = np.random.default_rng(0).normal(size=12)
    path = table(
        tmp_path / "t.csv",
        {"seed": range(12), "index": range(12), "place": range(1, 13), "latency": scores**2, "accuracy": scores},
    )
    _, card = read_custom(path)
    assert card["default_target"] == "accuracy" and list(card["metrics"]) == ["latency", "accuracy"]
    assert card["facts"]["left_out"].keys() == {"seed", "index", "place"}
    assert list(read_custom(path, metrics=["index"])[1]["metrics"]) == ["index"]
    with pytest.raises(
        DataError, match="no column looks like a score; seed, epochs look like numbers of rows or trainings"
    ):
        read_custom(table(tmp_path / "t.csv", {"seed": range(12), "epochs": [200] * 12}))
    path.write_text("ops,edges,accuracy,accuracy\na b,0>1,1,2\na b,0>1,2,3\n")
    with pytest.raises(DataError, match="column 'accuracy' comes twice"):
        read_custom(path)


def test_rows_of_several_trainings_are_averaged(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("arch,seed,ops,edges,accuracy\na,7,in x out,0>1 1>2,1\na,8,in x out,0>1 1>2,3\nb,7,in out,0>1,5\n")
    frame, card = read_custom(path)
    assert frame["accuracy"].tolist() == [2, 5] and card["metrics"]["accuracy"]["repeats"] == [
        "accuracy/7",
        "accuracy/8",
    ]
    assert any(
        "3 rows are 1 to 2 trainings each (column 'seed') of 2 architectures; scores are their means" in note
        for note in card["facts"]["notes"]
    )
    actual = read_benchmark(write_benchmark(tmp_path, frame, card))
    np.testing.assert_array_equal(actual.repeats("accuracy"), [[1, 3], [5, np.nan]])
    path.write_text("arch,seed,ops,edges,accuracy\na,7,in x out,0>1 1>2,1\na,7,in x out,0>1 1>2,3\n")
    with pytest.raises(DataError, match="line 3: repeats 'seed' 7 of line 2"):
        read_custom(path)
    path.write_text("arch,ops,edges,accuracy\na,in x out,0>1 1>2,1\na,in x out,0>1 1>2,3\n")
    with pytest.raises(
        DataError,
        match="repeats architecture 'a' of line 2; rows of several trainings are averaged where their graphs are equal and a column such as 'seed'",
    ):
        read_custom(path)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([-1, -1, 3, 4, 5], "2 of 5 are exactly -1"),
        ([9999, 9999, 3, 4, 5], "2 of 5 are exactly 9999"),
        ([-1, 3, 4, 5, 6], ""),
        ([1, 1, 2, 3, 9], ""),
        ([0, 0, 50, 60, 70], "exactly 0"),
    ],
)
def test_markers_of_missing_values_are_named(tmp_path, values, says):
    notes = [
        note
        for note in read_custom(table(tmp_path / "t.csv", {"latency": values}, 5))[1]["facts"]["notes"]
        if "exactly" in note
    ]
    assert bool(notes) == bool(says) and all(says in note for note in notes)


def test_cells_are_read_back_from_a_file(tmp_path):
    frame, card = read_custom(
        table(tmp_path / "t.csv", {"accuracy": [1, 2, 3], "cell": ["[0 0 1]", "0 1 1", "(0, 1, 1)"]}, 3)
    )
    assert card["space"]["cells"] == 2 and frame["cell"].tolist() == [[0, 0, 1], [0, 1, 1], [0, 1, 1]]
    frame.to_parquet(tmp_path / "again.parquet")
    again, _ = read_custom(tmp_path / "again.parquet", TableOptions("again", ops=card["space"]["ops"]))
    assert again["cell"].tolist() == frame["cell"].tolist()
