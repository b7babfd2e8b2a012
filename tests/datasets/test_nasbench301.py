"""The DARTS space: real tables, the two-cell graph, genotypes parsed and never evaluated."""

import json

import networkx as nx
import numpy as np
import pytest

from archrank.datasets.benchmark import build
from archrank.datasets.errors import DataError
from archrank.datasets.importers import nasbench301 as source

CELL = ((0, 3), (1, 0), (0, 2), (2, 4), (1, 5), (3, 6), (4, 1), (0, 0))


def genotype(normal=CELL, reduce=CELL, concat="[2, 3, 4, 5]"):
    cells = [[(source.CELL_OPS[op], node) for node, op in cell] for cell in (normal, reduce)]
    return f"Genotype(normal={cells[0]}, normal_concat={concat}, reduce={cells[1]}, reduce_concat=[2, 3, 4, 5])"


@pytest.mark.data
@pytest.mark.parametrize(("variant", "count"), [("trained", 1000), ("surrogate", 1218)])
def test_tables_have_their_counts_and_two_cells(real_data, variant, count):
    frame, card = source.read(source.locate(real_data, variant), variant)
    benchmark = build(frame, card)
    assert len(benchmark) == count and benchmark.space.cells == 2 and benchmark.ops.shape == (count, 30)
    assert (benchmark.cell.sum(1) == 15).all() and benchmark.mask.all()
    assert not benchmark.adj[:, :15, 15:].any()  # the cells are apart
    assert (benchmark.adj.sum((1, 2)) == 2 * 20).all()
    proxies = {name for name, one in benchmark.card.metrics.items() if one.proxy}
    assert ("synflow" in proxies and "nwot" not in proxies) if variant == "surrogate" else not proxies
    if variant == "trained":  # normal and reduction cell are alike there
        assert (benchmark.ops[:, :15] == benchmark.ops[:, 15:]).all()


def test_graph_of_a_cell_node_by_node():
    ops, edges, cell = source.graph(CELL, CELL)
    names = [source.OPS[op] for op in ops[:15]]
    assert names == [
        "c_{k-2}",
        "c_{k-1}",
        "sep_conv_3x3",
        "max_pool_3x3",
        "sum",
        "skip_connect",
        "sep_conv_5x5",
        "sum",
        "dil_conv_3x3",
        "dil_conv_5x5",
        "sum",
        "avg_pool_3x3",
        "max_pool_3x3",
        "sum",
        "output",
    ]
    first = [(u, v) for u, v in edges if v < 15]
    assert {(0, 2), (1, 3), (0, 5), (4, 6), (1, 8), (7, 9), (10, 11), (0, 12)} <= set(first)
    assert {v for u, v in first if u in (4, 7, 10, 13)} >= {14}
    assert [(u + 15, v + 15) for u, v in first] == [edge for edge in edges if edge[0] >= 15]
    assert all(u < v for u, v in edges) and cell == [0] * 15 + [1] * 15


def test_key_is_shared_by_swapped_operands_only():
    swapped = (CELL[1], CELL[0], *CELL[2:])
    other = ((1, 3), *CELL[1:])
    one, same, different = source.keys([source.graph(cell, CELL) for cell in (CELL, swapped, other)])
    assert one == same != different
    graphs = []
    for cell in (CELL, swapped, other):
        ops, edges, cells = source.graph(cell, CELL)
        graph = nx.DiGraph(edges)
        nx.set_node_attributes(graph, {v: (ops[v], cells[v]) for v in range(30)}, "op")
        graphs.append(graph)
    match = nx.algorithms.isomorphism.categorical_node_match("op", None)
    assert nx.is_isomorphic(graphs[0], graphs[1], match) and not nx.is_isomorphic(graphs[0], graphs[2], match)


def test_csv_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("".join(f'"{genotype(((op, 3), *CELL[1:]))}",{80 + op}.5\n' for op in (0, 1)))
    frame, card = source.read(path, "trained")
    assert frame["cifar10_val"].tolist() == [80.5, 81.5] and frame["arch"][0].startswith(
        "03.10.02.24.15.36.41.00_03.10"
    )
    assert build(frame, card).repeats("cifar10_val") is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f'"{genotype()}"', "needs a genotype and an accuracy"),
        (f'"{genotype()}",nan', "finite"),
        (f'"{genotype()}",inf', "finite"),
        (f'"{genotype()}",good', "not a number"),
        (f'"{genotype(((2, 3), *CELL[1:]))}",1.0', "cycle"),
        (f'"{genotype(CELL[:7])}",1.0', "eight"),
        (f'"{genotype(concat="[2, 3]")}",1.0', "must join"),
        (f'"{genotype(concat="5")}",1.0', "not a readable genotype"),
        (f'"{genotype().replace("0)", "0.9)")}",1.0', "is not a .node, operation. pair"),
        (f'"{genotype().replace("0)", "1e999)")}",1.0', "is not a .node, operation. pair"),
        (f'"{genotype().replace("max_pool_3x3", "conv_9x9")}",1.0', "not a readable genotype"),
        ("\"__import__('os').system('touch owned')\",1.0", "not a readable genotype"),
        ("\"Genotype(normal=__import__('os').system('touch owned'))\",1.0", "not a readable genotype"),
        (f'"{"(" * 3000}",1.0', "not a readable genotype"),
    ],
)
def test_wrong_lines_are_refused_by_number_and_nothing_runs(tmp_path, monkeypatch, line, says):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.csv"
    path.write_text(f'"{genotype(((1, 3), *CELL[1:]))}",80.5\n{line}\n')
    with pytest.raises(DataError, match=says) as caught:
        source.read(path, "trained")
    assert "line 2" in str(caught.value) and "\n" not in str(caught.value) and not (tmp_path / "owned").exists()


def test_surrogate_values_of_one_architecture_are_averaged(tmp_path):
    folder = tmp_path / "nasbench301"
    folder.mkdir()
    text = str([list(CELL), list(CELL)])
    for name, score in zip(source.FILES["surrogate"], (90.0, 92.0)):
        (folder / name).write_text(
            json.dumps({"cifar10": {text: {"val_accuracy": score, "flops": {"score": 2.0}, "params": 1.0}}})
        )
    frame, _ = source.read(source.locate(tmp_path, "surrogate"), "surrogate")
    assert len(frame) == 1 and frame["cifar10_val"][0] == 91.0 and frame["flops"][0] == 2.0
    (folder / source.FILES["surrogate"][0]).write_text(json.dumps({"cifar10": {"[1, 2]": {"val_accuracy": 1}}}))
    with pytest.raises(DataError, match="entry 0"):
        source.read(folder, "surrogate")
    assert np.isfinite(frame["cifar10_val"]).all()
