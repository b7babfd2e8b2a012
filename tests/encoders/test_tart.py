import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from archrank.datasets.errors import ArchrankError
from archrank.datasets.space import SearchSpace
from archrank.encoders.sequence.tart import Layer, Tart
from tests.encoders import golden as g

PRIMITIVES = SearchSpace("deepnets1m", tuple(map(str, range(15))), 600)
OPS = [9, 4, 11, 4, 7, 14]


def filled(**config):
    space = SearchSpace("deepnets1m", PRIMITIVES.ops, 6)
    model = Tart(space, dim=4, layers=2, heads=2, key_dim=3, value_dim=2, hidden=5, **config)
    model.layers[1] = Layer(4, 16, 3, 2, 5)  # the official encoder's last layer keeps its own default of 16 heads
    model = model.double().eval()
    g.fill_linear(model.embed, 1)
    g.fill_linear(model.start, 3)
    for number, layer in enumerate(model.layers):
        at = 20 * number
        g.fill_norm(layer.norm, at + 4)
        g.fill_linear(layer.query_key, at + 5)
        g.fill_linear(layer.value, at + 6)
        g.fill_linear(layer.out, at + 7)
        g.fill_norm(layer.feed.norm, at + 8)
        g.fill_linear(layer.feed.wide, at + 9)
        g.fill_linear(layer.feed.narrow, at + 10)
    g.fill_norm(model.norm, 60)
    g.fill_linear(model.out, 61)
    return model


@pytest.mark.parametrize(
    "config, value",
    [
        ({"faithful": True, "positions": 10}, 0.05401311406945623),
        ({"faithful": True, "positions": 20}, 0.04787502505949609),
        ({}, 0.08166844050099084),
    ],
)
@pytest.mark.parametrize("width", [6, 9])
def test_official_values(config, value, width):
    # A wider tensor with more padding is the same architecture, in either form.
    batch = g.graphs((OPS, ()), ([1, 2], ()), nodes=width)
    assert (filled(**config)(batch) @ g.weight(1, 4, 2)[0])[0].item() == pytest.approx(value, abs=1e-9)


def test_published_size():
    with torch.device("meta"):
        model = Tart(PRIMITIVES, **Tart.paper_config(PRIMITIVES))
    head = 256  # linear, no bias
    assert sum(p.numel() for p in model.parameters()) + head == 56_549_376


def test_default_size_as_stated():
    with torch.device("meta"):
        model = Tart(g.space(7))
    assert sum(p.numel() for p in model.parameters()) == 84_480


def test_order_and_edges_do_not_matter_but_size_does_when_faithful():
    torch.manual_seed(0)
    for faithful in (False, True):
        model = Tart(g.space(7), dim=8, layers=2, heads=2, faithful=faithful).double().eval()
        one = model(g.graphs(g.C5, ([0, 3, 1, 2, 4], ()), nodes=7))
        assert torch.allclose(one[0], one[1], atol=1e-12)
    small, large = (Tart(g.space(7), dim=8, layers=2, heads=2, faithful=True, positions=p).double() for p in (20, 40))
    large.load_state_dict(small.state_dict())
    assert (small(g.graphs(g.C5)) - large(g.graphs(g.C5))).abs().max() > 1e-3


def test_masked_it_sees_shares_and_faithful_numbers():
    torch.manual_seed(0)
    batch = g.graphs(([0, 2, 3], ()), ([0, 0, 2, 2, 3, 3], ()), nodes=7)
    for faithful in (False, True):
        model = Tart(g.space(7), dim=8, layers=2, heads=2, faithful=faithful).double().eval()
        once, twice = model(batch)
        assert torch.allclose(once, twice, atol=1e-12) is not faithful


def test_too_large_for_the_form_as_found():
    with pytest.raises(ArchrankError, match=r"601 nodes.*600"):
        Tart(SearchSpace("big", PRIMITIVES.ops, 601), faithful=True)
    Tart(SearchSpace("big", PRIMITIVES.ops, 601))


def test_two_cells_are_told_apart():
    torch.manual_seed(0)
    model = Tart(g.space(8, cells=2), dim=8, heads=2).double().eval()
    actual = model(g.graphs(g.C5, g.C3, together=True)), model(g.graphs(g.C3, g.C5, together=True))
    assert (actual[0] - actual[1]).abs().max() > 1e-3


@pytest.mark.parametrize("faithful", [False, True])
def test_stacked_members_equal_each_alone(faithful):
    torch.manual_seed(0)
    members = [Tart(g.space(7), dim=8, layers=2, heads=2, faithful=faithful).double() for _ in range(3)]
    parameters, buffers = stack_module_state(members)
    batch = g.graphs(g.C5, g.C3)
    together = vmap(lambda p, b: functional_call(members[0], (p, b), (batch,)))(parameters, buffers)
    for actual, member in zip(together, members, strict=True):
        assert torch.allclose(actual, member(batch), atol=1e-12)
    together.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in parameters.values())
