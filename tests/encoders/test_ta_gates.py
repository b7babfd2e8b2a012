"""TA-GATES against values of its code."""

from dataclasses import replace

import pytest
import torch

from archrank.datasets.errors import ArchrankError
from archrank.encoders.gates.ta_gates import TAGATES
from tests.encoders import golden as g
from tests.encoders import spaces
from tests.encoders.test_gates import N4, SIZE, check, fill_sequence, filled, score

TA = {**SIZE, "back_dim": 5, "update_dim": 7, "faithful": True}


@pytest.mark.parametrize(
    "steps, update, embedding, value",
    [
        (2, "all", [0.04202009547, 0.1024576709, 0.05879770866], 0.1283833576580054),
        (3, "all", [0.04203299534, 0.1025033967, 0.05881597195], 0.12838663849485973),
        (3, "conv", [0.04202077785, 0.102464223, 0.05880175881], 0.12838430950670865),
    ],
)
def test_official_values_of_ta_gates_on_nodes(steps, update, embedding, value):
    check(TAGATES(g.space(7), **TA, steps=steps, update=update), g.graphs(g.C5), embedding, value)


@pytest.mark.parametrize(
    "steps, embedding, value",
    [
        (2, [-0.001547051915, -0.007160299533, -0.002238010789], 0.115492531001955),
        (4, [-0.001537528478, -0.007102141816, -0.002217263512], 0.11549892005931661),
    ],
)
def test_official_values_of_ta_gates_on_edges(steps, embedding, value):
    check(
        TAGATES(spaces.nasbench201(), **TA, steps=steps, update="conv", readout="output"),
        spaces.nasbench201_graphs([N4]),
        embedding,
        value,
    )


def with_attributes():
    """C5, whose node v has attributes sin(.1 (v + 1)(k + 1)), v as in the code: its output is node 6."""
    row = torch.tensor([1.0, 2, 3, 4, 7], dtype=torch.float64)[:, None]
    attrs = torch.sin(0.1 * row * torch.tensor([1.0, 2], dtype=torch.float64))
    return replace(g.space(7), attrs=("a", "b")), replace(g.graphs(g.C5), attrs=attrs[None])


def test_official_value_with_attributes_that_break_symmetry():
    space, graphs = with_attributes()
    model = filled(TAGATES(space, **TA, steps=3, symmetry="add_attributes"))
    small = [torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)]
    model.attributes = torch.nn.Sequential(*small).double()
    fill_sequence(model.attributes, 30)
    actual = model(graphs)
    assert actual[0, :3].tolist() == pytest.approx([0.04199719614, 0.1023676273, 0.05878665679], abs=1e-10)
    assert score(actual) == pytest.approx(0.12837952332964403, abs=1e-12)


@pytest.mark.parametrize("symmetry", ["none", "noise", "attributes", "add_attributes"])
def test_symmetry_breaking(symmetry):
    space, graphs = with_attributes()
    model = TAGATES(space, **TA, symmetry=symmetry).double()
    assert torch.equal(model.eval()(graphs), model(graphs))
    model.train()
    assert torch.equal(model(graphs), model(graphs)) is (symmetry != "noise")
    other = replace(graphs, attrs=graphs.attrs + 1)
    assert torch.equal(model.eval()(graphs), model(other)) is ("attributes" not in symmetry)
    if "attributes" in symmetry:
        with pytest.raises(ArchrankError, match="needs numeric node attributes"):
            TAGATES(g.space(7), symmetry=symmetry)
