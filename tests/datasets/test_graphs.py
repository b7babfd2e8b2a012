import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archrank.datasets.errors import DataError
from archrank.datasets.graphs import Graphs


def batch(seed: int, count: int = 4, nodes: int = 9, density: float = 0.4) -> Graphs:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, nodes + 1, count)
    mask = np.arange(nodes) < sizes[:, None]
    adj = np.triu(rng.random((count, nodes, nodes)) < density, 1) & mask[:, :, None] & mask[:, None, :]
    ops = np.where(mask, rng.integers(0, 4, (count, nodes)), 0)
    return Graphs(torch.tensor(ops), torch.tensor(adj), torch.tensor(mask), torch.zeros(count, nodes, dtype=torch.long))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.4, 0.9]))
def test_structure_is_what_networkx_says(seed, density):
    graphs = batch(seed, density=density)
    for b, graph in enumerate(graphs.to_networkx()):
        n = len(graph)
        depth = (
            [max((len(p) - 1 for s in graph for p in nx.all_simple_paths(graph, s, v)), default=0) for v in range(n)]
            if n <= 6
            else None
        )
        if depth is not None:
            assert graphs.depth[b, :n].tolist() == depth
        closure = nx.transitive_closure_dag(graph)
        lengths = dict(nx.all_pairs_shortest_path_length(graph))
        for u in range(n):
            for v in range(n):
                assert bool(graphs.reach[b, u, v]) == closure.has_edge(u, v)
                assert int(graphs.distance[b, u, v]) == lengths[u].get(v, -1)
        assert graphs.in_degree[b, :n].tolist() == [d for _, d in graph.in_degree]
        assert graphs.out_degree[b, :n].tolist() == [d for _, d in graph.out_degree]


def test_batches_gather_what_was_derived_and_never_recompute():
    graphs = batch(0, count=6)
    calls = []

    def count(g):
        calls.append(len(g))
        return g.adj.sum((-1, -2))

    graphs.derive("mine/edges", count)
    index = torch.tensor([[4, 0], [2, 2]])
    part = graphs[index]
    assert torch.equal(part.derive("mine/edges", count), graphs.adj.sum((-1, -2))[index])
    assert calls == [6]
    assert part.ops.shape == (2, 2, 9)


def test_probe_tells_what_to_prepare():
    graphs = batch(1, count=6)
    probe = graphs[:2]
    _ = probe.reach
    graphs.prepare(probe)
    assert "reach" in graphs.tensors() and "reach" in graphs[:3].tensors()


def test_padding_and_relabelling_keep_the_graph():
    graphs = batch(2)
    wide = graphs.pad(12)
    assert torch.equal(wide.reach[:, :9, :9], graphs.reach) and not wide.mask[:, 9:].any()
    with pytest.raises(DataError, match="cannot pad"):
        graphs.pad(3)
    same = graphs.relabel(torch.arange(9).expand(4, -1))
    assert torch.equal(same.adj, graphs.adj) and torch.equal(same.ops, graphs.ops)


def test_pyg_form_has_every_node_and_edge():
    graphs = batch(3)
    pyg = graphs.to_pyg()
    assert pyg.num_graphs == 4 and pyg.num_nodes == int(graphs.mask.sum())
    assert pyg.edge_index.shape[1] == int(graphs.adj.sum())
    ends = pyg.batch[pyg.edge_index]
    assert torch.equal(ends[0], ends[1])


def test_a_pyg_batch_gives_its_graphs_back():
    pytest.importorskip("torch_geometric")
    graphs = batch(3)
    pyg = graphs.to_pyg()
    alone = pyg.to_data_list()
    assert (
        len(alone) == 4
        and torch.equal(pyg[2].x, graphs.ops[2, graphs.mask[2]])
        and pyg[2].edge_index.shape[1] == int(graphs.adj[2].sum())
    )
    ops, edges, owner = graphs.edge_list()
    assert torch.equal(pyg.x, ops) and torch.equal(pyg.edge_index, edges) and torch.equal(pyg.batch, owner)
