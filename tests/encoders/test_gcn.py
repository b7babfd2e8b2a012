import pytest
import torch

from archrank.datasets.errors import ArchrankError
from archrank.datasets.space import SearchSpace
from archrank.encoders.gnn.gcn import NeuralPredictorGCN
from archrank.eval.engine.recipes import make_recipe
from tests.encoders import contract, spaces
from tests.encoders import golden as g

# The order of naszilla's one-hot codes.
OPS = ("output", "input", "conv3x3", "conv1x1", "maxpool3x3")
SPACE = SearchSpace("nasbench101", OPS, 7, {"input": 1, "output": 0})
C5 = ([1, 3, 2, 4, 0], g.C5_EDGES)


def filled(**options):
    model = NeuralPredictorGCN(SPACE, dim=6, layers=2, **options).double().eval()
    for number, layer in enumerate(model.layers):
        g.fill(layer.along, 1 + 10 * number)
        g.fill(layer.against, 2 + 10 * number)
    return model


def head(x):
    return (x @ g.weight(4, 6, 30).T @ g.weight(1, 4, 31).T).squeeze(-1)


def test_official_value():
    cells = g.graphs(C5, ([1, 2, 0], g.C3_EDGES), nodes=9)
    assert head(filled(faithful=True)(cells))[0].item() == pytest.approx(-0.0012431492526162608, abs=1e-9)
    # The same cell with its two isolated conv3x3 nodes written out needs no special mode.
    written = g.graphs(([1, 3, 2, 4, 2, 2, 0], tuple((u, 6 if v == 4 else v) for u, v in g.C5_EDGES)))
    assert head(filled()(written)).item() == pytest.approx(-0.0012431492526162608, abs=1e-9)
    assert head(filled()(cells))[0].item() != pytest.approx(-0.0012431492526162608, abs=1e-5)


@pytest.mark.parametrize("space, count", [(spaces.nasbench101(), 144_416), (spaces.nasbench201(), 144_992)])
def test_parameter_counts(space, count):
    model = NeuralPredictorGCN(space, **NeuralPredictorGCN.paper_config(space))
    assert sum(p.numel() for p in model.parameters()) + 144 * 128 + 128 == count


def test_contract():
    graphs = spaces.random_graphs(spaces.nasbench101(), 6, 0)

    def make():
        return NeuralPredictorGCN(spaces.nasbench101(), dim=8, layers=2)

    contract.check_padding_and_composition(make(), graphs)
    contract.check_relabelling(make(), graphs)
    contract.check_ensemble(make, graphs)
    space, pair, _ = spaces.darts(4, 0)
    assert NeuralPredictorGCN(space, dim=8)(pair).shape == (4, 16)


def test_filling_is_refused_on_flat_graphs():
    with pytest.raises(ArchrankError, match="backend=dense"):
        NeuralPredictorGCN(SPACE, faithful=True, backend="pyg")


def test_recipe_is_valid():
    make_recipe("paper", NeuralPredictorGCN.paper_recipe(SPACE))


def test_two_directions_are_normalised_apart():
    both = torch.stack([filled().double()(g.graphs(C5)), filled()(g.graphs(([1, 3, 2, 4, 0], ())))])
    assert not torch.allclose(both[0], both[1])
