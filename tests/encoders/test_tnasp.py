import pytest
import torch

from archrank.encoders.layers.laplacian import on_edges
from archrank.encoders.transformers.tnasp import TNASP
from tests.encoders import golden as g
from tests.encoders import spaces
from tests.encoders.contract import check_ensemble

SMALL = {"dim": 8, "layers": 2, "heads": 2, "width": 4, "hidden": 10}
N4 = [4, 2, 3, 1, 5, 4]  # |nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|
STACKED = [(spaces.nasbench201(), spaces.nasbench201_graphs([N4, [1] * 6, [2, 1, 5, 3, 4, 1]])), spaces.darts(3, 0)[:2]]


def fill_tokens(tokens):
    g.fill(tokens.embed.data, 1)
    g.fill_linear(tokens.place, 2)
    if tokens.mix is not None:
        g.fill_linear(tokens.mix, 3)


def fill_block(block, at):
    heads = block.attention.heads * block.attention.width
    for number, part in enumerate(block.attention.project.weight.data.split(heads), 1):
        g.fill(part, at + number)
    g.fill(block.attention.out.weight, at + 4)
    g.fill_norm(block.norm_attention, at + 5)
    g.fill_linear(block.wide, at + 7)
    g.fill_linear(block.narrow, at + 8)
    g.fill_norm(block.norm_feed, at + 9)


def filled(model):
    model = model.double().eval()
    fill_tokens(model.tokens)
    g.fill_norm(model.norm, 5)
    for number, layer in enumerate(model.layers):
        fill_block(layer, 200 + 100 * number)
    return model


def scored(model, graphs):
    """Through the published head at the size of the golden values, and the number of parameters with it."""
    actual = model(graphs)
    count = sum(p.numel() for p in model.parameters()) + 6 * 8 + 6
    return (actual @ g.weight(6, 8, 10).T @ g.weight(1, 6, 11).T).squeeze(-1), count


def test_official_values():
    score, count = scored(filled(TNASP(g.space(7), **SMALL, faithful=True)), g.graphs(g.C5, nodes=7))
    assert score.item() == pytest.approx(-0.18954288279175638, abs=1e-12) and count == 1106
    score, count = scored(filled(TNASP(spaces.nasbench201(), **SMALL, faithful=True)), spaces.nasbench201_graphs([N4]))
    assert score.item() == pytest.approx(-0.4380267651023354, abs=1e-12) and count == 1112


@pytest.mark.parametrize(
    "space, count", [(spaces.nasbench101(), 503_232), (spaces.nasbench201(), 503_022)], ids=["101", "201"]
)
def test_published_size(space, count):
    with torch.device("meta"):
        model = TNASP(space, **TNASP.paper_config(space))
    assert sum(p.numel() for p in model.parameters()) + 80 * 96 + 96 == count


def test_which_spaces_have_operations_on_edges():
    assert on_edges(spaces.nasbench201())
    assert not any(map(on_edges, (spaces.nasbench101(), g.space(8), spaces.darts(1, 0)[0])))


def test_where_an_operation_stands_counts_and_what_none_links_does_not():
    model = TNASP(spaces.nasbench201(), **SMALL).double().eval()
    actual = model(spaces.nasbench201_graphs([N4, [2, 4, 3, 1, 5, 4]]))
    assert (actual[0] - actual[1]).abs().max() > 1e-3
    tokens = model.tokens(spaces.nasbench201_graphs([N4]))
    assert not tokens.links[0, 4].any() and not tokens.links[0, :, 4].any() and tokens.links[0, 0, 1]


def test_padding_counts_only_in_the_published_form():
    for space, graphs in (
        (spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 6, 0)),
        spaces.darts(4, 0)[:2],
    ):
        default, published = (TNASP(space, **SMALL, faithful=form).double().eval() for form in (False, True))
        assert torch.allclose(default(graphs), default(graphs.pad(graphs.nodes + 3)), atol=1e-12)
        assert torch.allclose(published(graphs), published(graphs.pad(graphs.nodes + 3)), atol=1e-12)
        assert default(graphs).shape[1] == 8 * space.cells and published(graphs).shape[1] == 8
    alone = g.graphs(g.C3, nodes=3)
    default, published = (TNASP(spaces.nasbench101(), **SMALL, faithful=form).double().eval() for form in (False, True))
    published.load_state_dict(default.state_dict())
    assert (default(alone) - published(alone)).abs().max() > 1e-2


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("space, graphs", STACKED, ids=["201", "darts"])
def test_stacked_members_equal_each_alone(space, graphs, faithful):
    check_ensemble(lambda: TNASP(space, **SMALL, faithful=faithful), graphs)
