"""Captured steps without the capture: from fixed memory, with a learning rate on the device, they train what ordinary
steps train."""

import pytest
import torch

from archrank.eval.engine import batching, captured, training
from archrank.eval.engine.captured import CapturedSteps
from archrank.eval.engine.packed import PackedUpdate
from archrank.eval.engine.random_numbers import HashedNoise
from archrank.eval.engine.recipes import COMMON
from archrank.eval.engine.training import fit
from tests.encoders.test_rehearsal import own_precision
from tests.eval.test_training import Stateful, members

RECIPES = {
    "updates": COMMON.model_copy(update={"updates": 5, "batch": 8}),
    "epochs": COMMON.model_copy(update={"updates": None, "epochs": 3, "batch": 8, "ema": 0.7, "difference": 0.1}),
}


def repeated(step):
    """What a capture does without a GPU: the step runs a few times, and is what runs again."""
    for _ in range(captured.WARM_UP):
        step()
    return step


def trained(cells, recipe, capture, monkeypatch):
    """The same training by captured steps (None: by ordinary ones), and its notes."""
    monkeypatch.setattr(training, "Update", PackedUpdate)
    monkeypatch.setattr(batching, "noise_on", lambda device, seeds: HashedNoise(seeds, device))
    steps = captured.PlainSteps if capture is None else lambda *given: CapturedSteps(*given, capture=capture)
    monkeypatch.setattr(training, "PlainSteps", steps)
    with own_precision(torch.float64):
        actual = fit(lambda member, probe: Stateful(cells.space), cells.graphs, members(cells, 3), recipe)
    return {**actual.ensemble.parameters, **actual.ensemble.buffers, **(actual.average or {})}, actual.notes


@pytest.mark.parametrize("recipe", RECIPES)
def test_captured_steps_train_what_ordinary_ones_do(cells, recipe, monkeypatch):
    expected, _ = trained(cells, RECIPES[recipe], None, monkeypatch)
    actual, notes = trained(cells, RECIPES[recipe], repeated, monkeypatch)
    assert not notes
    for name, value in expected.items():
        assert torch.allclose(actual[name], value, atol=1e-10), name


@pytest.mark.parametrize("fault", ["it cannot be captured", "a replayed one does not do"])
def test_what_cannot_be_captured_trains_as_ever(cells, fault, monkeypatch):
    def wrong(step):
        step()
        if fault == "it cannot be captured":
            raise RuntimeError(fault)
        return lambda: None

    expected, _ = trained(cells, RECIPES["epochs"], None, monkeypatch)
    actual, (note,) = trained(cells, RECIPES["epochs"], wrong, monkeypatch)
    assert note.startswith("steps were not captured: ") and fault in note
    assert all(torch.allclose(actual[name], value, atol=1e-10) for name, value in expected.items())
