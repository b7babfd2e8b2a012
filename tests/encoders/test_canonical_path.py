import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archrank.datasets import available, load, make_split
from archrank.encoders.paths.canonical_path import canonical_path
from archrank.encoders.paths.path import path_counts
from tests.encoders import spaces

NB101, NB201 = spaces.nasbench101(), spaces.nasbench201()
NONE, SKIP, C3 = 1, 2, 4
CELLS = st.lists(st.integers(1, 5), min_size=6, max_size=6)


@settings(max_examples=60, deadline=None)
@given(CELLS)
def test_counts_of_nasbench201_by_hand(cell):
    expected = torch.zeros(40)
    for way in ((3,), (0, 4), (1, 5), (0, 2, 5)):
        ops = [cell[i] for i in way]
        if NONE not in ops:
            word = [op - 3 for op in ops if op != SKIP]
            expected[sum(3**i for i in range(len(word))) + sum(op * 3**t for t, op in enumerate(word))] += 1
    assert torch.equal(canonical_path(spaces.nasbench201_graphs([cell]), NB201)[0], expected)


def test_rewriting_by_identities_changes_nothing():
    # conv then skip, skip then conv, and conv on the direct edge: one and the same cell.
    cells = [[C3, NONE, NONE, NONE, SKIP, NONE], [SKIP, NONE, NONE, NONE, C3, NONE], [NONE, NONE, NONE, C3, NONE, NONE]]
    codes = canonical_path(spaces.nasbench201_graphs(cells), NB201)
    assert (codes == codes[0]).all()
    assert codes[0].sum() == 1


def test_without_identities_it_counts_paths():
    graphs = spaces.random_graphs(NB101, 40, 0)
    assert torch.equal(canonical_path(graphs, NB101), path_counts(graphs, NB101)[0])
    assert torch.equal(canonical_path(graphs, NB101), canonical_path(spaces.shuffled(graphs, 3), NB101))


def test_two_cells_contract_only_true_identities():
    space, graphs, genotypes = spaces.darts(10, 0)
    blocks = canonical_path(graphs, space).unflatten(1, (4, -1))
    assert blocks.shape == (10, 4, 2801)
    for i, cells in enumerate(genotypes):
        for which, pairs in enumerate(cells):
            for source in (0, 1):
                assert blocks[i, 2 * which + source].sum() == ways(pairs, source)
                alone = sum(1 for u, op in pairs if u == source and op == 4)
                assert (blocks[i, 2 * which + source, 0] >= alone) == (which == 0 or alone == 0)


def ways(pairs, source):
    """Paths from one input to the output; contracting keeps their number."""
    reached = {source: 1}
    for node in range(4):
        reached[node + 2] = sum(reached.get(u, 0) for u, _ in pairs[2 * node : 2 * node + 2])
    return sum(reached[node] for node in range(2, 6))


@pytest.mark.data
@pytest.mark.skipif(available()["nasbench201"] == "missing", reason="needs NAS-Bench-201")
def test_boosting_on_it_ranks_nasbench201():
    from scipy.stats import kendalltau, norm, rankdata
    from sklearn.ensemble import GradientBoostingRegressor

    bench = load("nasbench201")
    code, y = canonical_path(bench.graphs, bench.space).numpy(), bench.target("cifar10_val")
    split = make_split(bench, "clean", 0, "cifar10_val")
    train = split.train(390)
    labels = norm.ppf((rankdata(y[train]) - 0.5) / len(train))
    model = GradientBoostingRegressor(random_state=0, n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.5)
    guess = model.fit(code[train], labels).predict(code[split.test])
    assert np.isfinite(guess).all()
    assert kendalltau(guess, y[split.test]).statistic > 0.75
