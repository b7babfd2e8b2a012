import shutil
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from archrank.encoders.gnn.brp_nas import BRPNASRelation
from archrank.encoders.gnn.gated_gcn import GatedGCN
from archrank.encoders.layers.norm import MaskedBatchNorm
from archrank.eval.engine.compiled import parts, step
from archrank.eval.engine.compiled.build import signature
from archrank.eval.engine.training import train
from tests.eval.test_training import SHORT, Stubborn, TwoWay, members

needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
# Batches of 8 and 4, so that two shapes are met.
EPOCHS = SHORT.model_copy(update={"updates": None, "epochs": 3})


class Small(nn.Module):
    """Weights, noise and running statistics, few enough to be compiled within seconds."""

    def __init__(self, space, dim=16):
        super().__init__()
        self.embed, self.lin = nn.Embedding(len(space.ops), dim), nn.Linear(dim, dim)
        self.drop, self.norm = nn.Dropout(0.3), MaskedBatchNorm(dim)

    def forward(self, graphs):
        x = self.embed(graphs.ops) * graphs.mask.unsqueeze(-1)
        x = x + self.drop(torch.relu(self.lin(graphs.adj.to(x.dtype) @ x)))
        return (self.norm(x, graphs.mask) * graphs.mask.unsqueeze(-1)).sum(-2)


class Layered(nn.Module):
    """Layers that are alike, the first of which is given what no gradient flows to."""

    def __init__(self, space):
        super().__init__()
        self.layers = nn.ModuleList(Residual(8) for _ in range(3))

    def forward(self, graphs):
        x = nn.functional.one_hot(graphs.ops, 8).to(torch.get_default_dtype()) * graphs.mask.unsqueeze(-1)
        for layer in self.layers:
            x = layer(x, graphs.mask)
        return (x * graphs.mask.unsqueeze(-1)).sum(-2)


class Residual(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.lin, self.drop, self.norm = nn.Linear(dim, dim), nn.Dropout(0.3), MaskedBatchNorm(dim)

    def forward(self, x, mask):
        return x + self.norm(self.drop(torch.relu(self.lin(x))), mask)


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def both(cells, make, recipe=EPOCHS, **more):
    return [
        train(lambda m, p: make(cells.space), cells.graphs, members(cells, 3), recipe, compiled=way, **more)
        for way in (False, True)
    ]


@needs_compiler
@pytest.mark.parametrize(
    ("kind", "options", "shapes", "changes"),
    [
        (
            Small,
            {},
            1,
            {
                "clip": 0.05,
                "ema": 0.9,
                "pairs_per_item": 0.5,
                "difference": 0.5,
                "consistency": 0.5,
                "weight_decay": 0.1,
            },
        ),
        (
            GatedGCN,
            {"dim": 16, "layers": 1, "dropout": 0.3},
            1,
            {"optimizer": "adam", "loss": "mse", "weight_decay": 0.1},
        ),
        (BRPNASRelation, {"dim": 8, "layers": 1}, 2, {"loss": "relation"}),
    ],
)
def test_steps_of_a_small_network_are_one_program_per_shape(cells, kind, options, shapes, changes):
    before = len(step._programs)
    recipe = EPOCHS.model_copy(update=changes | ({} if shapes == 2 else {"batch": 12}))
    twins = cells.graphs[torch.arange(len(cells.graphs)).roll(1)]
    plain, fused = both(
        cells, lambda space: kind(space, **options), recipe, twins=twins, pairs=hasattr(kind, "compare")
    )
    assert len(step._programs) == before + shapes
    for one, other in zip(plain, fused):
        assert np.allclose(one.predictions, other.predictions, rtol=1e-9)
        assert (
            not one.notes and "compiled: whole steps" in other.notes[0] and "s to build, not counted" in other.notes[0]
        )


@needs_compiler
def test_layers_that_are_alike_share_a_program(cells, monkeypatch):
    monkeypatch.setattr(step, "MOST_OPERATIONS", 0)
    before = len(parts._programs)
    plain, fused = both(cells, Layered, SHORT)
    assert len(parts._programs) == before + 1 and "(each of 3)" in fused[0].notes[0]
    for one, other in zip(plain, fused):
        assert np.allclose(one.predictions, other.predictions, rtol=1e-9)


def test_a_program_is_not_taken_for_another_configuration(cells, monkeypatch):
    class Scaled(TwoWay):
        def __init__(self, space, scale):
            super().__init__(space)
            self._scale = scale

        def forward(self, graphs):
            return super().forward(graphs) * self._scale

    monkeypatch.setattr(step, "build", lambda function: function)
    both(cells, lambda space: Scaled(space, 3.0), SHORT)
    plain, fused = both(cells, lambda space: Scaled(space, 0.1), SHORT)
    assert np.allclose(plain[0].predictions, fused[0].predictions, rtol=1e-9)


def test_modules_have_one_signature_where_they_compute_the_same():
    def made(**held):
        module = nn.Sequential(nn.Linear(3, 3))
        vars(module[0]).update(held)
        return signature(module)

    long, other = torch.zeros(2000), torch.zeros(2000)
    other[1000] = 1
    assert (
        made() == made()
        and made(_act=torch.relu, size=[2]) == made(_act=torch.relu, size=[2])
        and made(a=long.numpy()) == made(a=long.numpy())
    )
    settings = [
        {},
        {"_scale": 1.0},
        {"_scale": 2.0},
        {"a": [long]},
        {"a": [other]},
        {"a": long.numpy()},
        {"a": other.numpy()},
        {"f": lambda: 1},
        {"f": lambda: 1},
    ]
    assert len({made(**held) for held in settings}) == len(settings)


def test_what_cannot_be_compiled_trains_as_it_did(cells, monkeypatch):
    def broken(_):
        raise OSError("no compiler here\nand more")

    monkeypatch.setattr(step, "build", broken)
    plain, tried = both(cells, TwoWay)
    assert all(np.array_equal(one.predictions, other.predictions) for one, other in zip(plain, tried))
    assert tried[0].notes == ["not compiled: OSError: no compiler here"]
    assert "trained sequentially" in both(cells, Stubborn)[1][0].notes[0]
    monkeypatch.setattr(step, "MOST_OPERATIONS", 0)
    assert "has no layers" in both(cells, TwoWay)[1][0].notes[0]


def test_values_are_taken_apart_and_put_together():
    class Held:
        def __init__(self, tensor):
            self.tensor, self.count = tensor, 3

    a, b = torch.zeros(2), torch.ones(3)
    value: Any = ({"x": [a, None], "y": Held(b)}, "word", 2.5)
    tensors, structure = [], []
    apart = parts._take_apart(value, tensors, structure)
    assert tensors == [a, b] and value[1] in str(structure)
    back = parts._put_together(apart, [b, a])
    assert (
        back[0]["x"] == [b, None] and back[0]["y"].tensor is a and back[0]["y"].count == 3 and back[1:] == ("word", 2.5)
    )
    assert value[0]["y"].tensor is b
    other = []
    parts._take_apart(({"x": [a, None], "y": Held(b)}, "word", 2.0), [], other)
    assert other != structure
