"""Custom benchmarks as people have them: operations on edges, repeated rows, gaps, ONNX, text, other libraries."""

import types

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archrank.datasets import make_split, nb201_cells
from archrank.datasets.benchmark import Benchmark, build
from archrank.datasets.custom.files import read_custom
from archrank.datasets.custom.options import TableOptions
from archrank.datasets.custom.rows import Columns
from archrank.datasets.errors import DataError
from tests.datasets.test_made_releases import NETWORK, field, onnx, varint

pytestmark = pytest.mark.filterwarnings("ignore::archrank.datasets.errors.ArchrankWarning")
STRINGS = [
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|",
    "|skip_connect~0|+|nor_conv_1x1~0|none~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
]
SHUFFLED = [(0, 3), (2, 3), (0, 1), (1, 2), (1, 3), (0, 2)]


def labelled(text, order=nb201_cells.STRING_ORDER):
    """The operations of a string in an order of its edges, and the edges as text."""
    ops = dict(zip(nb201_cells.STRING_ORDER, nb201_cells.parse(text)))
    return " ".join(ops[edge] for edge in order), " ".join(f"{u}>{v}" for u, v in order)


def built_in():
    """The same architectures as the built-in NAS-Bench-201 has them."""
    ids = {op: number for number, op in enumerate(nb201_cells.OPS)}
    return np.array([[0, *(ids[op] for op in nb201_cells.parse(text)), 6] for text in STRINGS])


@pytest.mark.parametrize("column, ops_on", [("edge_ops", None), ("ops", "edges")])
def test_operations_on_edges_in_a_table(tmp_path, column, ops_on):
    lines = [f"{column},edges,accuracy"]
    for number, text in enumerate(STRINGS):
        ops, edges = labelled(text, SHUFFLED if number else nb201_cells.STRING_ORDER)
        lines.append(f"{ops},{edges},{90 + number}")
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    frame, card = read_custom(tmp_path / "mine.csv", TableOptions("mine", ops=nb201_cells.OPS), ops_on=ops_on)
    mine = build(frame, card)
    assert (mine.ops == built_in()).all() and mine.space.max_nodes == 8
    assert (mine.adj == mine.adj[0]).all() and np.argwhere(mine.adj[0]).tolist() == [*map(list, nb201_cells.EDGES)]
    assert mine.space.roles == {"input": 0, "none": 1, "skip": 2, "output": 6}
    assert any("operations stood on edges" in note for note in card["facts"]["notes"])


def test_parallel_edges_with_operations_are_kept_and_wrong_ones_are_named(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("edge_ops,edges,accuracy\na b c,0>1 0>1 1>2,1\na c,0>1 1>2,2\n")
    mine = build(*read_custom(path))
    assert mine.mask.sum(1).tolist() == [5, 4] and mine.adj[0].sum() == 5 and mine.key[0] != mine.key[1]
    path.write_text("edge_ops,edges,cell,accuracy\na b,0>1 2>3,0 0 1 1,1\nb b,0>1 2>3,0 0 1 1,2\n")
    assert build(*read_custom(path)).cell[0].tolist() == [0, 1, 0, 1, 0, 1]
    for text, says in (
        ("edge_ops,edges,accuracy\na,0>1 1>2,1\na b,0>1 1>2,2\n", "line 2: 1 operations of edges for 2 edges"),
        ("edge_ops,ops,edges,accuracy\na,x y,0>1,1\nb,x y,0>1,2\n", "both hold operations; say which count"),
        ("edge_ops,accuracy\na,1\nb,2\n", "column 'edges' is missing"),
        ("edge_ops,edges,accuracy\na,0>2,1\nb,0>1,2\n", "line 2: operations stand on edges, and node 1 has none"),
        ("ops,edges,accuracy\na b b,0>1 0>1 1>2,1\na b,0>1,2\n", "2 parallel edges 0 -> 1"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=says):
            read_custom(path)


def test_equal_rows_are_averaged_on_request_and_keep_their_noise(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("ops,edges,accuracy\nin x out,0>1 1>2,1\nin out,0>1,5\nin x out,0>1 1>2,3\nin x out,0>1 1>2,\n")
    _, card = read_custom(path)
    assert card["facts"]["architectures"] == 4 and card["facts"]["missing"] == {"accuracy": 1}
    assert any("2 rows repeat the graph of another row" in note for note in card["facts"]["notes"])
    assert any("'accuracy' in 1" in note for note in card["facts"]["notes"])
    mine = build(*read_custom(path, average=True))
    assert mine.target().tolist() == [2, 5]
    np.testing.assert_array_equal(mine.repeats("accuracy"), [[1, 3, np.nan], [5, np.nan, np.nan]])
    pairs = [(["in", "x", "out"], [(0, 1), (1, 2)]), (["in", "out"], [(0, 1)])]
    same = Benchmark.from_graphs([pairs[0], pairs[1], pairs[0]], [1.0, 5.0, 3.0], average=True)
    assert same.target().tolist() == [2, 5] and same.repeats("score").shape == (2, 2)


def convolution(kernel, stride, weights):
    settings = [(b"kernel_shape", kernel), (b"strides", stride)]
    attributes = b"".join(
        field(5, field(1, name) + b"".join(varint(8 << 3) + varint(n) for n in values)) for name, values in settings
    )
    step = field(1, "x") + field(1, "w") + field(2, "y") + field(4, "Conv") + attributes
    shape = b"".join(varint(1 << 3) + varint(n) for n in weights)
    body = field(1, step) + field(5, shape + field(8, "w")) + field(11, field(1, "x")) + field(12, field(1, "y"))
    return b"\x08\x07" + field(7, body)


def test_a_folder_of_onnx_files_with_a_table(tmp_path):
    folder = tmp_path / "nets"
    folder.mkdir()
    (folder / "a.onnx").write_bytes(onnx(NETWORK))
    (folder / "b.onnx").write_bytes(convolution((3, 3), (2, 2), (8, 4, 3, 3)))
    (folder / "scores.csv").write_text("onnx,latency\na.onnx,2.5\nb.onnx,1.5\n")
    frame, card = read_custom(folder, TableOptions("nets"))
    mine = build(frame, card)
    assert mine.space.ops == ("Add", "Conv", "Conv3x3s2", "Relu", "input", "output")
    assert mine.space.attrs == ("parameters",) and mine.graphs.attrs[1, :3, 0].tolist() == [0, 288, 0]
    for name, says in (("../a.onnx", "points outside"), ("none.onnx", "line 2: none.onnx: cannot be read")):
        (folder / "scores.csv").write_text(f"onnx,latency\n{name},2.5\nb.onnx,1.5\n")
        with pytest.raises(DataError, match=says):
            read_custom(folder)
    (folder / "more.csv").write_text("a")
    with pytest.raises(DataError, match="holds 2 tables"):
        read_custom(folder)


def test_text_of_a_known_space_is_read_as_it_stands(tmp_path):
    (tmp_path / "mine.csv").write_text("arch,accuracy\n" + "".join(f"{text},{n}\n" for n, text in enumerate(STRINGS)))
    mine = build(*read_custom(tmp_path / "mine.csv", TableOptions("mine", space="nasbench201")))
    assert mine.space.ops == nb201_cells.OPS and (mine.ops == built_in()).all()
    (tmp_path / "mine.csv").write_text("arch,accuracy\n|conv~0|,1\nx,2\n")
    with pytest.raises(DataError, match=r"line 2: .* is not a NAS-Bench-201 string"):
        read_custom(tmp_path / "mine.csv", TableOptions("mine", space="nasbench201"))
    with pytest.raises(DataError, match="column 'ops' is missing"):
        read_custom(tmp_path / "mine.csv", TableOptions("mine"))


def with_attributes():
    graphs = []
    for width in (8, 16):
        graph = nx.DiGraph()
        graph.add_nodes_from(
            (v, {"op": op, "channels": width * v, "kernel": v}) for v, op in enumerate(("in", "x", "out"))
        )
        graph.add_edges_from([(0, 1), (1, 2)])
        graphs.append(graph)
    return Benchmark.from_graphs(graphs, [1.0, 2.0], ops=["in", "x", "out"])


def as_dgl(data):
    """What a DGLGraph offers of itself (DGL has no wheel for every Python this is tested on)."""
    return types.SimpleNamespace(
        ndata={"op": data.x, "cell": data.cell, "attrs": data.attrs}, edges=lambda: tuple(data.edge_index)
    )


def test_node_attributes_go_to_other_libraries_and_come_back():
    mine = with_attributes()
    assert mine.space.attrs == ("channels", "kernel")
    batch = mine.graphs.to_pyg().to_data_list()
    for graphs in (mine.graphs.to_networkx(), batch, [as_dgl(data) for data in batch]):
        again = Benchmark.from_graphs(graphs, [1.0, 2.0], ops=["in", "x", "out"])
        assert again.space.attrs == ("attrs_0", "attrs_1") and (again.attrs == mine.attrs).all()
        assert (again.key == mine.key).all()
    again = Benchmark.from_graphs(mine.graphs.to_networkx(mine.space.attrs), [1.0, 2.0], ops=["in", "x", "out"])
    assert again.space.attrs == mine.space.attrs
    one = Benchmark.from_graphs(batch, [1.0, 2.0], ops=["in", "x", "out"], node_attributes=["attrs_1"])
    assert one.space.attrs == ("attrs_1",) and (one.attrs[..., 0] == mine.attrs[..., 1]).all()
    actual = mine.space.graphs(mine.graphs.to_networkx(mine.space.attrs))
    assert (actual.attrs == mine.graphs.attrs).all()
    with pytest.raises(DataError, match="item 0 and 1 more: the nodes have no attribute 'channels'"):
        mine.space.graphs(batch)


def test_candidates_of_every_kind_are_those_of_the_table(tmp_path):
    (tmp_path / "mine.csv").write_text("arch,accuracy\n" + "".join(f"{text},{n}\n" for n, text in enumerate(STRINGS)))
    mine = build(*read_custom(tmp_path / "mine.csv", TableOptions("mine", space="nasbench201")))
    drawn = []
    for text in STRINGS:
        graph = nx.DiGraph()
        graph.add_nodes_from(range(4))
        graph.add_edges_from(
            (u, v, {"op": op}) for (u, v), op in zip(nb201_cells.STRING_ORDER, nb201_cells.parse(text))
        )
        drawn.append(graph)
    pairs = [(nb201_cells.parse(text), nb201_cells.STRING_ORDER) for text in STRINGS]
    actual = [
        mine.space.graphs(STRINGS),
        mine.space.graphs(drawn),
        mine.space.graphs(pairs, op_on="edge"),
        mine.space.graphs(mine.graphs.to_pyg().to_data_list()),
        mine.space.graphs([(ops, nb201_cells.EDGES) for ops in mine.ops.tolist()]),
    ]
    for graphs in actual:
        assert all((graphs.tensors()[name] == tensor).all() for name, tensor in mine.graphs.tensors().items())
    loop, wide = (["input", "output"], [(0, 1), (1, 0)]), (["input"] + ["none"] * 8 + ["output"], [(0, 1), (1, 9)])
    short = (["input", "conv", "output"], [(0, 1), (1, 2)]), (["input", "none", "output"], [(0, 1), (0, 2), (1, 2)])
    with pytest.raises(DataError) as caught:
        mine.space.graphs([*STRINGS, loop, wide, *short, "|x|", 7])
    said = str(caught.value)
    for part in (
        "item 3: the graph is cyclic",
        "item 4: 10 nodes, more than the 8",
        "item 5: unknown operation 'conv'",
        "item 6: edge 1 -> 2 (in topological order), which no architecture of this space has",
        "item 7: '|x|' is not a NAS-Bench-201 string",
        "item 8: a int is no graph",
    ):
        assert part in said, part
    opened = mine.space.opened(max_nodes=10).graphs([wide, short[1]])
    assert opened.nodes == 10 and opened.mask.sum(1).tolist() == [10, 3]
    with pytest.raises(DataError, match="no notation"):
        with_attributes().space.graphs(["x"])


GENOTYPE = "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0)] * 1, normal_concat=range(2, 6), reduce=[], reduce_concat=[2, 3, 4, 5])"
CELL = "[('sep_conv_3x3', 1), ('skip_connect', 0), ('none', 2), ('max_pool_3x3', 0), ('dil_conv_5x5', 3), ('skip_connect', 0), ('sep_conv_5x5', 1), ('none', 4)]"


@pytest.mark.parametrize(
    "space, good, bad",
    [
        (
            "nasbench301",
            f"Genotype(normal={CELL}, normal_concat=range(2, 6), reduce={CELL}, reduce_concat=[2, 3, 4, 5])",
            GENOTYPE,
        ),
        ("transnasbench101_micro", "64-41414-1_02_333", "64-41414-1_02_334"),
        ("transnasbench101_macro", "64-1234-basic", "64-1235-basic"),
        ("natsbench_size", "64:64:32:16:8", "64:64:32:16:9"),
    ],
)
def test_notations_of_built_in_spaces(space, good, bad):
    from archrank.datasets.custom.notations import NOTATIONS
    from archrank.datasets.space import SearchSpace

    notation = NOTATIONS[space]
    described = SearchSpace(space, notation.ops, 30, notation.roles, 2)
    graphs = described.graphs([good])
    assert len(graphs) == 1 and int(graphs.mask.sum()) > 4
    with pytest.raises(DataError, match="item 0: "):
        described.graphs([bad])


PRIME = 2**61 - 1
WORDS = ["none", "skip_connect", "conv", "pool"]


def computed(ops, edges, order):
    """What an edge-labelled cell computes, as a number: every operation a random function that keeps 0, nodes add up.
    Architectures that compute the same give the same number."""
    functions = {"conv": (3**20, 7**15), "pool": (5**18, 11**11)}
    values = {0: 12345}
    for target in order[1:]:
        total = 0
        for op, (u, v) in zip(ops, edges):
            if v == target and op != "none":
                x = values[u]
                total += x if op == "skip_connect" else x * (functions[op][0] * x + functions[op][1])
        values[target] = total % PRIME
    return values[order[-1]]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1), st.integers(3, 4), st.integers(30, 80))
def test_no_architecture_of_a_clean_test_set_computes_what_a_training_one_does(seed, nodes, count):
    draw = np.random.default_rng(seed)
    pairs = [(u, v) for v in range(nodes) for u in range(v)]
    rows, values = [], []
    for _ in range(count):
        ops = [WORDS[op] for op in draw.choice(4, len(pairs), p=[0.3, 0.3, 0.2, 0.2])]
        listed = draw.permutation(len(pairs))
        rows.append(([ops[at] for at in listed], [pairs[at] for at in listed]))
        values.append(computed(ops, pairs, range(nodes)))
    mine = Benchmark.from_graphs(rows, draw.standard_normal(count), op_on="edge")
    split = make_split(mine, "clean", seed % 100)
    values = np.array(values)
    assert not set(values[split.pool]) & set(values[split.test])


def test_named_columns(tmp_path):
    pd.DataFrame({"labels": [["a", "b"], ["b", "b"]], "links": [[0, 1, 1, 2]] * 2, "acc": [1.0, 2.0]}).to_parquet(
        tmp_path / "mine.parquet"
    )
    frame, _ = read_custom(tmp_path / "mine.parquet", columns=Columns(edge_ops="labels", edges="links"))
    assert frame["ops"].tolist() == [[2, 0, 1, 3], [2, 1, 1, 3]] or len(frame) == 2
