"""Training steps rehearsed on torch's `meta` device: nothing waits for a GPU, nothing is sent to it, and no more is
launched than budgeted.

`python -m tests.encoders.test_rehearsal` prints the launches of today, for launches.json where they fell.
"""

import json
from collections import Counter
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

import pytest
import torch

from archrank.encoders import catalog
from archrank.encoders.ensembling.launches import few_launches
from archrank.eval.engine import training
from archrank.eval.engine.captured import PlainSteps
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.packed import PackedUpdate
from archrank.eval.engine.recipes import COMMON, resolve_recipe
from archrank.eval.engine.training import fit
from archrank.eval.engine.update import Update
from archrank.eval.synthetic import synthetic
from archrank.eval.trials.specs import parse
from tests.eval.test_training import members
from tests.launches import Launches, OneLaunch

BUDGETS = Path(__file__).with_name("launches.json")
# What has parts of two forms, all of them together.
TWO_FORMS = ["flowerformer[layers=1,dim=8]", "dagnn[dim=8]", "gated_gcn[dim=8,layers=1]", "nar_former[layers=1]"]
LEARNED = [name for name in catalog.builtin() if parse(name)[0].info.learned]
# What takes longest: its layers are alike.
SHALLOW = {"flowerformer": "flowerformer[layers=2]"}


class Counted(PlainSteps):
    """Counts what each step launches."""

    launches: ClassVar[Launches]
    last: ClassVar[tuple[int, Counter[str]]]

    def __call__(self, chosen, rate):
        count, faults = self.launches.count.copy(), self.launches.faults.copy()
        super().__call__(chosen, rate)
        type(self).last = sum((self.launches.count - count).values()), self.launches.faults - faults


def step(spec, cells, size=2, **fields):
    """Launches and faults of the second step of so many members' training."""
    spec = parse(spec)[0]
    encoder = spec.info.load()
    recipe = COMMON.model_copy(update={"updates": 2, "batch": 8} | fields)
    recipe, config = resolve_recipe(recipe, encoder, dict(spec.config), None, cells.space)
    twins = encoder.twins(cells.graphs) if recipe.consistency else None
    encoder(cells.space, **config)(probe := cells.graphs[:2].plain())
    graphs = cells.graphs.plain().prepare(probe)  # structure is derived once, before the first step
    with (
        patch.multiple(torch.optim, Adam=OneLaunch, AdamW=OneLaunch),
        patch.object(training, "PlainSteps", Counted),
        patch.object(Ensemble, "refusal", lambda *_: None),
        Launches() as Counted.launches,
    ):
        trained = fit(
            lambda member, probe: encoder(cells.space, **config),
            graphs,
            members(cells, size),
            recipe,
            device="meta",
            twins=twins,
            pairs="compare" in spec.info.hooks,
        )
    assert trained.ensemble.fallback is None
    return Counted.last


@contextmanager
def own_precision(dtype):
    """What is computed inside is so in another precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def few():
    return synthetic(24)


@pytest.mark.parametrize("name", LEARNED)
def test_a_step_waits_for_nothing_and_launches_no_more_than_budgeted(name, few):
    launched, faults = step(SHALLOW.get(name, name), few)
    assert not faults
    assert launched <= json.loads(BUDGETS.read_text())[name], f"{name}: {launched} launches a step"


def test_launches_do_not_grow_with_members(few):
    assert step("gcn[dim=8,layers=1]", few, 2) == step("gcn[dim=8,layers=1]", few, 7)


def test_recipes_parts_wait_for_nothing(few):
    drawn = {"pairs_per_item": 0.5, "difference": 0.1, "ema": 0.9, "clip": None}
    assert not step("gin[dim=8]", few, **drawn)[1]


@pytest.mark.parametrize("name", TWO_FORMS)
def test_the_form_of_few_launches_computes_the_same(name, few):
    """Loss, gradients, clipping, weights, averages and running statistics of two steps, in double precision."""
    spec = parse(name)[0]
    encoder = spec.info.load()
    recipe = COMMON.model_copy(update={"updates": 3, "warmup": 0.0, "batch": 8, "ema": 0.5})
    actual = []
    for way, kind in ((nullcontext, Update), (few_launches, PackedUpdate)):
        with own_precision(torch.float64), way(), patch.object(training, "Update", kind):
            trained = fit(lambda m, p: encoder(few.space, **spec.config), few.graphs, members(few, 2), recipe)
        actual.append({**trained.ensemble.parameters, **trained.ensemble.buffers, **(trained.average or {})})
    for weight, value in actual[0].items():
        assert torch.allclose(actual[1][weight], value, atol=1e-7), weight


if __name__ == "__main__":
    cells = synthetic(24)
    print(json.dumps({name: step(SHALLOW.get(name, name), cells)[0] for name in LEARNED}, indent=1))
