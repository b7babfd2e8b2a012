from pathlib import Path

import pytest
import torch

from archrank.encoders.layers.pine import Pine
from archrank.encoders.transformers.pinat import PINAT
from archrank.eval.engine.recipes import make_recipe
from archrank.eval.trials.recipe_files import find_recipe
from tests.encoders import golden as g
from tests.encoders import spaces
from tests.encoders.contract import check_ensemble
from tests.encoders.test_tnasp import N4, STACKED, fill_block, fill_tokens, scored

SMALL = {"dim": 8, "layers": 2, "heads": 2, "width": 4, "hidden": 10, "pine_channels": 3}


def fill_wave(tensor, code):
    """The rule for tensors of rank three and more: by their flat index."""
    with torch.no_grad():
        tensor.copy_((0.25 * torch.sin(0.7 * torch.arange(tensor.numel(), dtype=torch.float64) + code)).view_as(tensor))


def fill_pine(part, at):
    g.fill(part.a.data, at)
    for number, tensor in enumerate((part.u, part.v, part.w), 1):
        fill_wave(tensor, at + number)
    g.fill(part.b.data, at + 4)
    fill_wave(part.c, at + 5)


def fill_beside(part, at, spread):
    for number, (pine, linear) in enumerate(
        zip((part.block.first, part.block.second, part.block.last), part.block.beside)
    ):
        fill_pine(pine, at + 10 * number)
        g.fill_linear(linear, at + 10 * number + 6)
    if part.spread is not None:
        g.fill_linear(part.spread, spread)


def filled(model):
    model = model.double().eval()
    fill_tokens(model.tokens)
    g.fill_norm(model.norm, 5)
    fill_beside(model.pine, 100, 4)
    for number, (layer, pine) in enumerate(zip(model.layers, model.pines)):
        at = 200 + 100 * number
        fill_block(layer, at)
        fill_beside(pine, at + 50, at + 6)
    return model


def test_official_values():
    score, count = scored(filled(PINAT(g.space(7), **SMALL, faithful=True)), g.graphs(g.C5, nodes=7))
    assert score.item() == pytest.approx(-0.12473320058425763, abs=1e-12) and count == 4758
    score, count = scored(filled(PINAT(spaces.nasbench201(), **SMALL, faithful=True)), spaces.nasbench201_graphs([N4]))
    assert score.item() == pytest.approx(-0.47673058011348746, abs=1e-12) and count == 4854


@pytest.mark.parametrize(
    "space, count", [(spaces.nasbench101(), 553_840), (spaces.nasbench201(), 553_750)], ids=["101", "201"]
)
def test_published_size(space, count):
    with torch.device("meta"):
        model = PINAT(space, **PINAT.paper_config(space))
    assert sum(p.numel() for p in model.parameters()) + 80 * 96 + 96 == count


@pytest.mark.parametrize("faithful", [False, True])
def test_every_operation_counts_where_it_stands(faithful):
    # Cells that differ in the fifth operation, which the published form gives to no node of the skeleton.
    cells = spaces.nasbench201_graphs([[*N4[:4], op, *N4[5:]] for op in (3, 5)])
    model = PINAT(spaces.nasbench201(), **SMALL, faithful=faithful).double().eval()
    tokens = model.tokens(cells)
    near = (tokens.links.mT | torch.eye(tokens.links.shape[-1]).bool()).double()
    actual = model.pine(tokens.ops, near)
    assert bool((actual[0] - actual[1]).abs().max() > 1e-6) is not faithful
    assert (model(cells)[0] - model(cells)[1]).abs().max() > 1e-6  # its token is there in either


def test_predecessors_are_a_set():
    part = Pine(4, 3, 2).double()
    x = torch.randn(1, 3, 4).double()
    near = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [1, 1, 1]]]).double()
    assert torch.allclose(part(x, near)[0, 2], part(x[:, [1, 0, 2]], near)[0, 2], atol=1e-12)


def test_padding_counts_only_in_the_published_form():
    for space, graphs in (
        (spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 6, 0)),
        spaces.darts(4, 0)[:2],
    ):
        for faithful in (False, True):
            model = PINAT(space, **SMALL, faithful=faithful).double().eval()
            assert torch.allclose(model(graphs), model(graphs.pad(graphs.nodes + 3)), atol=1e-12)


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("space, graphs", STACKED, ids=["201", "darts"])
def test_stacked_members_equal_each_alone(space, graphs, faithful):
    check_ensemble(lambda: PINAT(space, **SMALL, faithful=faithful), graphs)


def test_the_recipe_with_the_ranking_loss_is_the_published_one_but_for_it():
    recipe = find_recipe(Path(__file__).parents[2] / "docs" / "recipes" / "pinat_bce.yaml")
    published = make_recipe("paper", PINAT.paper_recipe(spaces.nasbench201()))
    differ = {field for field in type(recipe).model_fields if getattr(recipe, field) != getattr(published, field)}
    assert differ == {"name", "loss"} and recipe.loss == "bce"
    defaults = (
        PINAT(spaces.nasbench201(), faithful=True),
        PINAT(spaces.nasbench201(), **PINAT.paper_config(spaces.nasbench201())),
    )
    assert len({str(model) for model in defaults}) == 1  # so `pinat[faithful=true]` is the published network
