"""Custom benchmarks: every way in gives the same benchmark, and every problem is named with its row."""

import gzip
import json
import types

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from archrank.datasets.benchmark import Benchmark, read_benchmark, write_benchmark
from archrank.datasets.custom.files import read_custom
from archrank.datasets.custom.options import TableOptions
from archrank.datasets.custom.table import from_graphs
from archrank.datasets.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::archrank.datasets.errors.ArchrankWarning")
OPS = ["input", "conv", "pool", "output"]
CELLS = [([0, 1, 2, 3], [(0, 1), (1, 2), (2, 3)]), ([0, 2, 3], [(0, 1), (1, 2)]), ([0, 1, 3], [(0, 1), (1, 2), (0, 2)])]
SCORES = {"accuracy": [91.5, 88.0, 90.0], "latency": [3.0, 1.0, 2.0]}


def as_networkx(ops, edges):
    graph = nx.DiGraph()
    graph.add_nodes_from((f"n{v}", {"op": OPS[op]}) for v, op in enumerate(ops))
    graph.add_edges_from((f"n{u}", f"n{v}") for u, v in edges)
    return graph


def as_pyg(ops, edges):
    return Data(x=torch.tensor(ops)[:, None], edge_index=torch.tensor(edges).T)


def as_one_hot(ops, edges):
    return Data(x=torch.eye(len(OPS))[torch.tensor(ops)], edge_index=torch.tensor(edges).T)


def as_dgl(ops, edges):
    """What a DGLGraph offers of itself (DGL has no wheel for every Python this is tested on)."""
    source, target = torch.tensor(edges).T
    return types.SimpleNamespace(ndata={"op": torch.tensor(ops)}, edges=lambda: (source, target))


def as_pair(ops, edges):
    return [OPS[op] for op in ops], edges


def same(one, other):
    return (
        (one.ops == other.ops).all()
        and (one.adj == other.adj).all()
        and (one.key == other.key).all()
        and one.content_hash == other.content_hash
    )


@pytest.mark.parametrize("form", [as_networkx, as_pyg, as_one_hot, as_dgl])
def test_every_library_gives_the_same_benchmark(form):
    expected = from_graphs([as_pair(*cell) for cell in CELLS], SCORES, ops=OPS)
    actual = Benchmark.from_graphs([form(*cell) for cell in CELLS], SCORES, ops=OPS)
    assert same(actual, expected)
    assert (
        actual.default_target == "accuracy"
        and actual.direction("accuracy") == "max"
        and actual.direction("latency") == "min"
    )
    assert actual.space.roles == {"input": 0, "output": 3} and actual.ops.tolist()[1] == [0, 2, 3, 0]
    np.testing.assert_array_equal(actual.graphs.depth[0], [0, 1, 2, 3])


@pytest.mark.parametrize(
    "name, direction",
    [
        ("sentiment_acc", "max"),
        ("timestep_accuracy", "max"),
        ("train_time", "min"),
        ("val-err", "min"),
        ("RMSE", "min"),
        ("latency_ms", "min"),
        ("ppl", "min"),
        ("n_params", "min"),
        ("costar", "max"),
    ],
)
def test_names_that_say_less_is_better(name, direction):
    assert (
        from_graphs([as_pair(*cell) for cell in CELLS], {name: [1.0, 2.0, 3.0]}, ops=OPS).direction(name) == direction
    )


def test_the_numbers_of_rows_are_no_metric(tmp_path):
    cells = {
        "ops": ["input conv pool output", "input pool output", "input conv output"],
        "edges": ["0>1 1>2 2>3", "0>1 1>2", "0>1 1>2 0>2"],
    }
    pd.DataFrame({**cells, "accuracy": [91.5, 88, 90]}).to_csv(tmp_path / "mine.csv")
    _, card = read_custom(tmp_path / "mine.csv", TableOptions("mine", ops=OPS))
    assert list(card["metrics"]) == ["accuracy"] and "no name" in card["facts"]["left_out"]["Unnamed: 0"]


def test_csv_parquet_and_graphs_agree(tmp_path):
    text = [
        "ops,edges,accuracy,latency",
        "input conv pool output,0>1 1>2 2>3,91.5,3",
        "input;pool;output,0-1;1-2,88,1",
        '"[""input"",""conv"",""output""]","[[0,1],[1,2],[0,2]]",90,2',
    ]
    (tmp_path / "mine.csv").write_text("\n".join(text))
    pd.DataFrame(
        {
            "ops": [ops for ops, _ in CELLS],
            "edges": [[v for edge in edges for v in edge] for _, edges in CELLS],
            **SCORES,
        }
    ).to_parquet(tmp_path / "mine.parquet")
    expected = from_graphs([as_pair(*cell) for cell in CELLS], SCORES, ops=OPS, name="mine")
    for file in ("mine.csv", "mine.parquet"):
        frame, card = read_custom(tmp_path / file, TableOptions("mine", ops=OPS))
        actual = read_benchmark(write_benchmark(tmp_path / "out", frame, card))
        assert same(actual, expected) and actual.name == "mine"
        assert actual.scores.to_dict("list") == SCORES


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1), st.integers(2, 9))
def test_order_of_nodes_does_not_matter(seed, count):
    draw = np.random.default_rng(seed)
    ops = [str(op) for op in draw.choice(["a", "b", "c"], count)]
    edges = sorted({(0, 1)} | {(u, v) for u in range(count) for v in range(u + 1, count) if draw.random() < 0.4})
    order = draw.permutation(count)
    place = np.argsort(order)
    shuffled = [ops[v] for v in order], [(int(place[u]), int(place[v])) for u, v in edges]
    actual = from_graphs([(ops, edges), shuffled], [1.0, 2.0], ops=["a", "b", "c"])
    assert actual.key[0] == actual.key[1]
    assert not np.tril(actual.adj).any() and actual.adj.sum((1, 2)).tolist() == [len(set(edges))] * 2


def test_cells_and_saving(tmp_path):
    graph = as_networkx(*CELLS[0])
    nx.set_node_attributes(graph, {"n0": 0, "n1": 1, "n2": 1, "n3": 1}, "cell")
    other = as_networkx(*CELLS[0])
    nx.set_node_attributes(other, {"n0": 0, "n1": 0, "n2": 1, "n3": 1}, "cell")
    actual = from_graphs([graph, other], [1.0, 2.0], name="two", save_to=tmp_path)
    again = read_benchmark(tmp_path / "two.json")
    assert same(actual, again) and actual.space.cells == 2 and actual.cell[0].tolist() == [0, 1, 1, 1]
    assert actual.key[0] != actual.key[1]


HEADER = "arch,ops,edges,accuracy"
GOOD = "a,input conv output,0>1 1>2,91.0"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("b,input conv output,0>1 1>2 2>1,90", "line 3: the graph is cyclic"),
        ("b,input conv output,0>1 1>3,90", "line 3: edge 1 -> 3 leaves its 3 nodes"),
        ("b,input conv output,0>0,90", "line 3: the graph is cyclic"),
        ("b,input conv output,zero to one,90", "line 3: edges 'zero to one' cannot be read"),
        ("b,,0>1,90", "line 3: ops is empty"),
        ("b,input conv output,0>1,nan", "line 3: 'accuracy' is 'nan'"),
        ("b,input conv output,0>1,", None),
        ("b,input conv output,0>1,inf", "line 3: 'accuracy' is 'inf'"),
        ("b,input conv output,0>1,good", "line 3: 'accuracy' is 'good'"),
        ("a,input conv output,0>1,90", "line 3: repeats architecture 'a' of line 2"),
        ("b,input conv output,0>1,91.0", "is the same for every architecture"),
        ("b,input conv9 output,0>1,90", "line 3: unknown operation 'conv9'; known: input, conv, output"),
        ("b,input 7 output,0>1,90", "line 3: unknown operation 7"),
        (",input conv output,0>1 1>2,90", "line 3: the name of the architecture is empty"),
        ("b,input conv output,,90", "line 3: 3 nodes and no edge"),
        ("b,input conv output,0>1 1>0 1>2,90", "line 3: the graph is cyclic"),
        ("b,conv input output,0>1 1>2,90", "line 3: edge 0 -> 1 leads into 'input', which is taken for the input"),
        ("b,input output conv,0>1 1>2,90", "line 3: edge 1 -> 2 leads out of 'output', which is taken for the output"),
        ("b,conv output,0>1,90", "line 3: no node is 'input'"),
        ("b,input conv,0>1,90", "line 3: no node is 'output'"),
        ("b,input conv output,0>1,90,5,6", "line 3: expected 4 fields, saw 6"),
        ('b,input conv output,"[[0,Infinity]]",90', "line 3: edges [[0, inf]] is no list of pairs of whole numbers"),
        ('b,input conv output,"[[0.9,1.9]]",90', "line 3: edges [[0.9, 1.9]] is no list of pairs of whole numbers"),
        ('b,input conv output,"[0,1,1,1.5]",90', "line 3: edges [0, 1, 1, 1.5] is no list of pairs of whole numbers"),
        (f"b,input conv output,0>1 1>{'2' * 5000},90", "line 3: edges '0>1 1>"),
        (f"b,input conv output,{'2' * 5000}>1,90", "line 3: edges '222"),
        (f'b,input conv output,"[[0,{"9" * 4000}]]",90', "line 3: edges [[0, 999"),
        ('b,"[0, 1.9, 2]",0>1 1>2,90', "line 3: ops holds 1.9, neither a name nor an id"),
    ],
)
def test_problems_are_named_with_their_line(tmp_path, line, says):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([HEADER, GOOD, line, "c,input output,0>1,91.0"]) + "\n")
    if says is None:  # an empty field is "not measured"
        path.write_text("\n".join([HEADER, GOOD, line, "c,input output,0>1,88"]) + "\n")
        frame, _ = read_custom(path, TableOptions("mine", ops=["input", "conv", "output"]))
        assert frame["accuracy"].isna().tolist() == [False, True, False]
        return
    with pytest.raises(DataError) as caught:
        read_custom(path, TableOptions("mine", ops=["input", "conv", "output"]))
    assert says in str(caught.value) and "\n" not in str(caught.value) and str(caught.value).startswith(str(path))


def test_many_problems_come_at_once_and_long_lists_are_cut(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([HEADER, GOOD, *(f"b{i},input wrong{i} output,0>1,{i}" for i in range(30))]))
    with pytest.raises(DataError, match="line 3: .*line 4: .*and 22 more"):
        read_custom(path, TableOptions("mine", ops=["input", "conv", "output"]))
    path.write_text(
        "\n".join([HEADER, GOOD, "b,input output,one,1", "c,input output,0>5,2", "d,input output,0>1,good"])
    )
    with pytest.raises(
        DataError, match="line 3: edges 'one' cannot be read.*line 4: edge 0 -> 5 leaves.*line 5: 'accuracy' is 'good'"
    ):
        read_custom(path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"graphs": [as_pair(*CELLS[0])], "scores": [1.0, 2.0]}, "1 graphs but 2 rows"),
        ({"graphs": [as_pair(*CELLS[0])] * 2, "scores": {}}, "no metric"),
        ({"graphs": [], "scores": []}, "no architecture"),
        ({"graphs": [(0, 1), "x"], "scores": [1, 2]}, "row 0: .*row 1: a str is no graph"),
        ({"graphs": [nx.Graph([(0, 1)])], "scores": [1]}, "row 0: the networkx graph is undirected"),
        ({"graphs": [nx.DiGraph([(0, 1)])], "scores": [1]}, "row 0: node 0 has no attribute 'op'"),
        ({"graphs": [as_pyg(*CELLS[0])] * 2, "scores": [1, 2]}, "name the operations in the order of their ids"),
        ({"graphs": [as_pair(*CELLS[0])] * 2, "scores": [1, 2], "arch": ["a"]}, "1 architecture names for 2 graphs"),
        ({"graphs": [as_pair(*CELLS[0])] * 2, "scores": [1, 2], "minimize": ["speed"]}, "'minimize' names 'speed'"),
        ({"graphs": [as_pair(*CELLS[0])] * 2, "scores": {"ops": [1, 2]}}, "cannot be called 'ops'"),
        ({"graphs": [as_pair(*CELLS[0])] * 2, "scores": [1, 2], "name": "../up"}, "cannot be the name"),
        ({"graphs": [as_pair(*CELLS[0])] * 2, "scores": [1, 2], "name": "digits101"}, "comes with; choose another"),
        ({"graphs": [as_pair(*CELLS[0])] * 2, "scores": [1, 2], "name": "nasbench301"}, "comes with; choose another"),
        ({"graphs": [as_pair(*CELLS[0])] * 2, "scores": [1, 2], "roles": {"input": "start"}}, "which does not occur"),
        (
            {"graphs": [as_pair(*CELLS[0])] * 2, "scores": [1, 2], "units": {"lat": "ms"}},
            "'units' names 'lat', which is no metric; known: score",
        ),
        (
            {"graphs": [as_pair(*CELLS[0])] * 2, "scores": [1, 2], "default_target": "speed"},
            "names 'speed', which is no metric; known: score",
        ),
        (
            {"graphs": [as_pair(*CELLS[0])] * 2, "scores": pd.DataFrame([[1, 2], [2, 1]], columns=["a", "a"])},
            "metric 'a' comes twice",
        ),
        (
            {"graphs": [(["a", "b"], [(0, 0.5)]), (["a", "b"], [(0, float("inf"))])], "scores": [1, 2]},
            "row 0: 0.5 is no whole number.*row 1: inf is no whole number",
        ),
        (
            {
                "graphs": [Data(x=torch.tensor([[0.5], [1]]), edge_index=torch.tensor([[0], [1]]))],
                "scores": [1],
                "ops": OPS,
            },
            "row 0: 0.5 is no whole number",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, says):
    with pytest.raises(DataError, match=says):
        from_graphs(**arguments)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (['"91,2"', '"90,1"', '"88,0"'], r"line 2: 'accuracy' is '91,2', not a number, .*--metrics"),
        (["91.2%", "90%", "88%"], "line 2: 'accuracy' is '91.2%', not a number"),
        (["91.2", "90%", "88%"], "line 3: 'accuracy' is '90%', not a number"),
        (["True", "False", "True"], "line 2: 'accuracy' is 'True', not a number"),
        (["91.2", "failed", "failed"], None),
    ],
)
def test_scores_do_not_vanish_unseen(tmp_path, fields, says):
    path = tmp_path / "mine.csv"
    rows = [
        f"{row},input output,0>1,{field},{latency},fine," for row, (field, latency) in enumerate(zip(fields, (3, 2, 1)))
    ]
    path.write_text("\n".join(["arch,ops,edges,accuracy,latency,note,empty", *rows]))
    if says is None:
        left_out = {"accuracy": "text such as 'failed'", "note": "text such as 'fine'", "empty": "empty"}
        assert read_custom(path)[1]["facts"]["left_out"] == left_out
    else:
        with pytest.raises(DataError, match=says):
            read_custom(path)
    assert list(read_custom(path, metrics=["latency"])[1]["metrics"]) == ["latency"]
    with pytest.raises(DataError, match="'accuracy' is"):
        read_custom(path, metrics=["accuracy"])


def test_tabs_and_packed_files(tmp_path):
    lines = ["arch,ops,edges,accuracy", "a,input output,0>1,3", "b,input output,0>1,"]
    for name, mark in (("mine.csv", ","), ("mine.tsv", "\t")):
        (tmp_path / name).write_text("\n".join(line.replace(",", mark) for line in [*lines, "c,input output,0>1,4"]))
    pd.testing.assert_frame_equal(read_custom(tmp_path / "mine.tsv")[0], read_custom(tmp_path / "mine.csv")[0])
    for name in ("mine.csv.gz", "packed.csv"):
        (tmp_path / name).write_bytes(gzip.compress((tmp_path / "mine.csv").read_bytes()))
        with pytest.raises(DataError, match="unpack or rename it" if name.endswith("gz") else "not a readable table"):
            read_custom(tmp_path / name)


def test_ids_in_a_csv_need_their_names(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("arch,ops,edges,accuracy\na,0 1 2,0>1 1>2,3\nb,0 2,0>1,4\n")
    with pytest.raises(DataError, match="name the operations in the order of their ids"):
        read_custom(path)
    assert read_custom(path, TableOptions("mine", ops=["input", "conv", "output"]))[1]["space"]["ops"] == [
        "input",
        "conv",
        "output",
    ]


def test_broken_files_are_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="not a readable Parquet table"):
        read_custom(path)
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="column 'ops' is missing"):
        read_custom(path)
    path.write_text("ops,edges,score\na,input output,0>1,3\n")
    with pytest.raises(DataError, match="line 2: expected 3 fields, saw 4"):
        read_custom(path)
    path.write_text("ops,edges,score\n")
    with pytest.raises(DataError, match="no rows"):
        read_custom(path)
    with pytest.raises(DataError, match="cyclic"):
        from_graphs([(["a", "b"], [(0, 1), (1, 0)])] * 2, [1, 2], save_to=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert json.dumps(sorted(file.name for file in tmp_path.iterdir())) == '["x.csv", "x.parquet"]'


def test_empty_lines_are_passed_over_and_counted(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["", HEADER, GOOD, "", "  ", "b,input conv9 output,0>1 1>2,90"]) + "\n")
    with pytest.raises(DataError, match="line 6: unknown operation 'conv9'"):
        read_custom(path, TableOptions("mine", ops=["input", "conv", "output"]))
