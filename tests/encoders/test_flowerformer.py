import pytest
import torch

from archrank.datasets.space import SearchSpace
from archrank.encoders.flow.flowerformer import FlowerFormer
from tests.encoders import golden as g


def filled(space, mode):
    model = FlowerFormer(space, dim=8, layers=2, heads=2, mask_mode=mode).double().eval()
    g.fill(model.embed.weight, 91)
    g.fill_norm(model.norm, 92)
    for number, layer in enumerate(model.layers):
        at = 100 * number
        for sweep, more in ((layer.down, 0), (layer.up, 30)):
            with torch.no_grad():
                sweep.key.copy_(g.weight(1, 16, at + 2 + more)[0, 8:])
            for name, code in (("weight_ih", 3), ("weight_hh", 4), ("bias_ih", 5), ("bias_hh", 6)):
                g.fill(getattr(sweep.gru, name), at + code + more)
        g.fill(layer.key_query.weight, at + 11)
        g.fill(layer.value.weight, at + 13)
        g.fill_linear(layer.out, at + 14)
        for norm, code in ((layer.norm_flow, 15), (layer.norm_attention, 16), (layer.norm_out, 19)):
            g.fill_norm(norm, at + code)
        g.fill_linear(layer.wide, at + 17)
        g.fill_linear(layer.narrow, at + 18)
        if layer.exchange is not None:
            g.fill_linear(layer.exchange, at + 21)
    return model


@pytest.mark.parametrize(
    "mode, five",
    [("target", 0.2487351643558374), ("ancestor", 0.24445878768952714), ("paper", 0.24650422013246473)],
)
def test_official_values_one_cell(mode, five):
    model = filled(g.space(5), mode)
    # C3 is padded here, and both share a batch: neither may matter.
    score = model(g.graphs(g.C5, g.C3)) @ g.weight(1, 8, 93)[0] + g.bias(1, 93)
    assert score.tolist() == pytest.approx([five, 0.41606136668986726], abs=1e-9)


@pytest.mark.parametrize(
    "mode, value",
    [("target", -0.3545389899063124), ("ancestor", -0.3615350384288267), ("paper", -0.3612992477849791)],
)
def test_official_values_two_cells(mode, value):
    model = filled(g.space(8, cells=2), mode)
    score = model(g.graphs(g.C5, g.C3, together=True)) @ g.weight(1, 16, 93)[0] + g.bias(1, 93)
    assert score.item() == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    "name, ops, cells, total, effective",
    [
        ("nasbench101", 5, 1, 901_459, 751_617),
        ("nasbench201", 7, 1, 901_587, 751_745),
        ("nasbench301", 11, 2, 14_745_617, 12_640_001),
        ("nasbench_asr", 9, 1, 2_382_477, 1_986_049),
        ("nasbench_graph", 11, 1, 6_323_977, 5_271_041),
    ],
)
def test_parameter_counts(name, ops, cells, total, effective):
    space = SearchSpace(name, tuple(map(str, range(ops))), 8, cells=cells)
    config = FlowerFormer.paper_config(space)
    head = config["dim"] * cells + 1
    for faithful, expected in ((True, total), (False, effective)):
        with torch.device("meta"):
            model = FlowerFormer(space, **config, faithful=faithful)
        assert sum(p.numel() for p in model.parameters()) + head == expected


def test_attention_sees_exactly_the_paths():
    batch = g.graphs(g.C5)
    seen = FlowerFormer(g.space(5), dim=8, layers=1)._attend(batch)[0]
    reach = batch.reach[0]
    assert torch.equal(seen, reach | reach.T)
    assert not seen.diagonal().any()


def test_inert_parameters_really_are_inert():
    torch.manual_seed(0)
    model = FlowerFormer(g.space(5), dim=8, layers=1, faithful=True)
    model(g.graphs(g.C5, g.C3)).sum().backward()
    named = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert named == {name for name, _ in model.named_parameters() if "inert" in name or name == "edge"}
