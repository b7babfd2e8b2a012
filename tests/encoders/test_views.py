"""`view=`: encoders on the canonical graph, alone and beside the drawn one."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from archrank.datasets import ArchrankError, load
from archrank.datasets.canonical import canonicalize
from archrank.datasets.graphs import Graphs
from archrank.datasets.parallel_identities import canonical_graph, canonical_space
from archrank.datasets.space import SearchSpace
from archrank.encoders.gnn.gin import GIN
from archrank.encoders.views import build, canonical_view
from archrank.eval.engine.batching import Member
from archrank.eval.engine.recipes import variant
from archrank.eval.engine.training import train
from archrank.eval.predictor import Predictor
from archrank.eval.trials.specs import parse


@pytest.fixture(scope="module")
def diamonds():
    """input -> {a, b, c} -> output, all three operations of a kind drawn at random: conv, skip or none."""
    space = SearchSpace(
        "diamond", ("input", "conv", "skip", "none", "output"), 5, {"input": 0, "skip": 2, "none": 3, "output": 4}
    )
    kinds = np.array(np.meshgrid([1, 2, 3], [1, 2, 3], [1, 2, 3])).reshape(3, -1).T
    ops = np.column_stack([np.zeros(27, int), kinds, np.full(27, 4)])
    adj = np.zeros((27, 5, 5), bool)
    adj[:, 0, 1:4] = adj[:, 1:4, 4] = True
    graphs = Graphs(
        torch.from_numpy(ops),
        torch.from_numpy(adj),
        torch.ones(27, 5, dtype=torch.bool),
        torch.zeros(27, 5, dtype=torch.long),
    )
    return SimpleNamespace(space=space, graphs=graphs)


def arrays(graphs):
    return [part.numpy() for part in (graphs.ops, graphs.adj, graphs.mask, graphs.cell)]


def test_parallel_links_are_spelled_out(diamonds):
    form = canonical_graph(diamonds.space, *arrays(diamonds.graphs))
    skips = (diamonds.graphs.ops.numpy() == 2).sum(1)
    assert ((form.ops == 2).sum(1) == np.maximum(skips - 1, 0)).all()  # one of the identities is the edge
    assert (form.adj[:, 0, 4] == (skips > 0)).all() and not (form.ops == 3).any()
    assert (form.mask == (form.adj.any(1) | form.adj.any(2) | np.isin(np.arange(5), [0, 4]))).all()


@pytest.mark.parametrize("name", ["digits101", "transnasbench101_micro", "nasbench301_trained"])
def test_the_canonical_view_is_the_same_computation(name):
    try:
        benchmark = load(name)
    except ArchrankError as missing:
        pytest.skip(str(missing))
    rows = slice(0, None, max(1, len(benchmark) // 400))
    graphs = benchmark.graphs.plain()[rows]
    space, drawn = benchmark.space, arrays(graphs)
    form = canonical_graph(space, *drawn)
    assert not np.tril(form.adj).any() and not form.adj[~form.mask].any()
    if (support := canonical_space(space).support) is not None:
        assert not (form.adj & ~support).any()
    again = canonicalize(space, form.ops, form.adj, form.mask, drawn[3])
    merged = again.key != canonicalize(space, *drawn).key
    assert merged.mean() < 0.02  # where there is no room for every parallel link


def test_functional_duplicates_have_one_embedding_on_the_canonical_view_alone(diamonds):
    number = int((diamonds.graphs.ops[:, 1:4] == torch.tensor([1, 2, 3])).all(1).nonzero())
    graphs = diamonds.graphs.plain()[[number, number]]
    graphs.adj[1, 0, 3] = False  # the input of `none`, which nothing leaves
    for view, equal in (("canonical", True), ("drawn", False)):
        torch.manual_seed(0)
        first, second = build(GIN, diamonds.space, {"view": view, "dim": 8}).eval()(graphs)
        assert torch.allclose(first, second, atol=1e-6) is equal
    widths = [build(GIN, diamonds.space, {"view": view, "dim": 8})(graphs).shape[1] for view in ("drawn", "both")]
    assert widths[1] == 2 * widths[0]


def test_what_is_derived_on_the_view_is_gathered_with_batches(diamonds):
    calls = []
    graphs = diamonds.graphs.plain()

    def depth(view):
        calls.append(len(view))
        return view.adj.sum(-1)

    whole = canonical_view(graphs, diamonds.space).derive("mine", depth)
    part = canonical_view(graphs[torch.tensor([3, 4])], diamonds.space).derive("mine", depth)
    assert calls == [27] and torch.equal(part, whole[3:5])
    assert "mine" not in graphs.tensors() and "canonical/mine" in graphs.tensors()


@pytest.mark.parametrize("encoder", ["gin[view=canonical,dim=8]", "brp_nas_relation[dim=8,view=both]"])
def test_a_member_on_a_view_is_what_it_is_alone_also_compiled(diamonds, encoder):
    spec = parse(encoder)[0]
    labels = np.random.default_rng(0).standard_normal(18)
    members = [Member(seed, np.arange(18), labels, np.arange(27)) for seed in (0, 1)]

    def scores(chosen, compiled=False):
        actual = train(
            lambda m, p: build(spec.info.load(), diamonds.space, spec.config),
            diamonds.graphs,
            chosen,
            variant("few", updates=5),
            pairs="compare" in spec.info.hooks,
            compiled=compiled,
        )
        assert not [note for note in actual[-1].notes if "sequentially" in note]
        return actual[-1]

    together, alone = scores(members), scores(members[1:])
    assert np.allclose(together.predictions, alone.predictions, rtol=1e-3, atol=1e-4)
    if "gin" in encoder:
        compiled = scores(members, compiled=True)
        assert compiled.notes[0].startswith("compiled") and np.allclose(
            compiled.predictions, together.predictions, rtol=1e-2, atol=1e-3
        )


def test_the_option_is_reserved(tmp_path):
    with_view, plain = parse("gin[view=canonical]")[0], parse("gin[view=drawn]")[0]
    assert with_view.label == "gin[view=canonical]" and plain.label == "gin"
    with pytest.raises(ArchrankError, match="view='flat'"):
        parse("gin[view=flat]")
    with pytest.raises(ArchrankError, match="no option|unknown|option"):
        parse("path[view=canonical]")
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from torch import nn\nclass Mine(nn.Module):\n    def __init__(self, space, *, view: int = 3):\n        ...\n"
    )
    with pytest.raises(ArchrankError, match="option 'view'.*another name"):
        parse(f"{mine}:Mine")


def test_a_predictor_on_both_views_is_saved(diamonds, tmp_path):
    predictor = Predictor("gin[view=both,dim=8]", diamonds.space, seed=1, recipe="quick")
    predictor.fit(diamonds.graphs, np.random.default_rng(0).standard_normal(27)).save(tmp_path / "p")
    loaded = Predictor.load(tmp_path / "p")
    assert np.allclose(loaded.predict(diamonds.graphs), predictor.predict(diamonds.graphs), atol=1e-5)
    assert loaded.encoder == {"name": "gin", "dim": 8, "view": "both"}
