"""GATES against values of its code, and what holds for TA-GATES too."""

from dataclasses import replace

import pytest
import torch

from archrank.encoders.gates.gates import GATES
from archrank.encoders.gates.ta_gates import TAGATES
from tests.encoders import golden as g
from tests.encoders import spaces
from tests.encoders.contract import check_ensemble, check_padding_and_composition, check_relabelling

SIZE = {"op_dim": 3, "node_dim": 4, "hidden": 5, "dim": 6, "layers": 2}
N4 = [4, 2, 3, 1, 5, 4]
EDGES = {"residual": "ends", "readout": "output"}
FREE = (spaces.nasbench101(), spaces.nasbench201(), spaces.darts(1, 0)[0])


def fill_inputs(inputs):
    """As the code numbers its embeddings: that of the output apart, the first row of five (`none`) in a table for
    edges."""
    rows = len(inputs.table)
    g.fill(inputs.entry.data, 1)
    g.fill_linear(inputs.place, 5)
    with torch.no_grad():
        if hasattr(inputs, "other"):
            inputs.other.copy_(g.weight(1, 4, 2)[0])
            inputs.table.copy_(torch.cat([g.weight(rows - 1, 3, 3), g.weight(1, 3, 4)]))
        else:
            inputs.table.copy_(g.weight(rows + 1, 3, 3)[1:])


def fill_flow(layer, at):
    g.fill(layer.weight.data, at)
    g.fill_linear(layer.gate, at + 1)
    if hasattr(layer, "bias"):
        g.fill(layer.bias.data[0], at + 2)


def fill_sequence(parts, at):
    for number, part in enumerate([part for part in parts if isinstance(part, torch.nn.Linear)]):
        g.fill_linear(part, at + number)


def filled(model):
    model = model.double().eval()
    fill_inputs(model.inputs)
    rounds = getattr(model, "rounds", None)
    for number, layer in enumerate(model.layers if rounds is None else rounds.ahead):
        fill_flow(layer, 100 + 10 * number)
    if rounds is not None:
        for number, layer in enumerate(rounds.back):
            fill_flow(layer, 200 + 10 * number)
        fill_sequence(rounds.turn, 10)
        fill_sequence(rounds.update, 20)
    return model


def score(found):
    hidden = torch.relu(found @ g.weight(7, 6, 50).T + g.bias(7, 50))
    return (hidden @ g.weight(1, 7, 51).T + g.bias(1, 51)).item()


def check(model, graphs, embedding, value):
    actual = filled(model)(graphs)
    assert actual[0, :3].tolist() == pytest.approx(embedding, abs=1e-10, rel=1e-8) and score(actual) == pytest.approx(
        value, abs=1e-12
    )


@pytest.mark.parametrize(
    "options, embedding, value",
    [
        ({}, [0.04549745441, 0.1183024268, 0.06389933717], 0.12999091753389946),
        ({"self_loops": True, "residual": "ends"}, [0.04200715147, 0.1024117969, 0.05877932379], 0.12838006339767394),
        ({"readout": "output"}, [0.07678021661, 0.2086622813, 0.1037705588], 0.14683558337365543),
    ],
)
def test_official_values_of_gates_on_nodes(options, embedding, value):
    check(GATES(g.space(7), **SIZE, faithful=True, **options), g.graphs(g.C5), embedding, value)


@pytest.mark.parametrize(
    "options, embedding, value",
    [
        (EDGES, [-0.001551943689, -0.007189955268, -0.002248529767], 0.11548927649203308),
        ({"open_skip": False}, [-0.01784542933, -0.02671178706, 0.003793332481], 0.11447617092797086),
    ],
)
def test_official_values_of_gates_on_edges(options, embedding, value):
    check(GATES(spaces.nasbench201(), **SIZE, **options), spaces.nasbench201_graphs([N4]), embedding, value)


# What the code counts and never learns or reads: the input operation's (nodes) or the other nodes' (edges) zeros, and
# the row of padding or `none`.
@pytest.mark.parametrize(
    "make, space, config, beyond, published",
    [
        (GATES, spaces.nasbench101(), {}, 96, 92_128),
        (GATES, spaces.nasbench201(), {}, 96, 114_224),
        (TAGATES, spaces.nasbench101(), {}, 96, 307_088),
        (TAGATES, spaces.nasbench201(), {}, 101, 215_141),
        (TAGATES, replace(spaces.nasbench101(), attrs=tuple("abcdefg")), {"symmetry": "add_attributes"}, 96, 322_112),
        (TAGATES, replace(spaces.nasbench201(), attrs=tuple("abcdefg")), {"symmetry": "attributes"}, 101, 220_517),
    ],
)
def test_published_size(make, space, config, beyond, published):
    with torch.device("meta"):
        model = make(space, **{**make.paper_config(space), **config})
    assert sum(p.numel() for p in model.parameters()) + beyond == published


@pytest.mark.parametrize("make", [GATES, TAGATES])
def test_padding_composition_and_order_do_not_matter(make):
    for space, graphs in ((FREE[0], spaces.random_graphs(FREE[0], 6, 0)), spaces.darts(5, 0)[:2]):
        for faithful in (False, True):
            check_padding_and_composition(make(space, **SIZE, faithful=faithful), graphs)
            check_relabelling(make(space, **SIZE, faithful=faithful), graphs)
        assert make(space, **SIZE)(graphs).shape == (len(graphs), 6 * space.cells)


@pytest.mark.parametrize("make", [GATES, TAGATES])
def test_an_operation_counts_only_if_what_it_makes_reaches_the_output(make):
    """Behind what is shut by `none`, no operation matters."""
    torch.manual_seed(0)
    cells = spaces.nasbench201_graphs([[4, 4, 1, 1, 1, 4], [3, 4, 1, 1, 1, 4], [4, 3, 1, 1, 1, 4]])
    actual = make(spaces.nasbench201(), **{**SIZE, "dim": 16}, **EDGES).double().eval()(cells)
    assert torch.allclose(actual[0], actual[1], atol=1e-12) and not torch.allclose(actual[0], actual[2], atol=1e-6)
    space = replace(
        g.space(4), ops=("input", "conv1x1", "conv3x3", "none", "output"), roles={"input": 0, "none": 3, "output": 4}
    )
    chain = [
        g.graphs((ops, ((0, 1), (1, 2), (2, 3)))) for ops in ([0, 1, 3, 4], [0, 2, 3, 4], [0, 1, 1, 4], [0, 2, 1, 4])
    ]
    model = make(space, **{**SIZE, "dim": 16, "layers": 3}, readout="output").double().eval()
    actual = [model(graphs) for graphs in chain]
    assert torch.equal(actual[0], actual[1]) and not torch.allclose(actual[2], actual[3], atol=1e-6)


@pytest.mark.parametrize(
    "space, graphs",
    [
        (FREE[0], spaces.random_graphs(FREE[0], 4, 0)),
        (FREE[1], spaces.nasbench201_graphs([N4, [2, 4, 3, 4, 5, 4]])),
        spaces.darts(3, 0)[:2],
    ],
    ids=["101", "201", "darts"],
)
@pytest.mark.parametrize("make", [GATES, TAGATES])
def test_stacked_members_equal_each_alone(make, space, graphs):
    torch.manual_seed(0)
    check_ensemble(lambda: make(space, **{**SIZE, "dim": 16}), graphs)
