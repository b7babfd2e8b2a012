"""Tables that an encoder is given something of."""

from dataclasses import replace

import numpy as np
import pytest

from archrank.eval.synthetic import synthetic
from archrank.eval.trials import additions as module
from archrank.eval.trials import pretraining, sources
from tests.eval.additions.tables import with_columns


@pytest.fixture(scope="module")
def cells():
    plain = synthetic(120, seed=3)
    rng = np.random.default_rng(0)
    size = plain.mask.sum(1).astype(float)
    return with_columns(
        plain, parameters=size + rng.random(120), proxy=size, early=plain.scores["quality"] + rng.normal(0, 9, 120)
    )


@pytest.fixture
def tables(monkeypatch, cells):
    """What `load` finds by name."""
    known = {"cells": cells, "other": with_columns(synthetic(80, seed=9), "other")}
    elsewhere = replace(cells.space, name="elsewhere", ops=("in", "max_pool_3x3", "nor_conv_3x3", "zeroize", "out"))
    known["far"] = replace(with_columns(synthetic(80, seed=9), "far"), space=elsewhere)
    for place in (module, sources, pretraining):
        monkeypatch.setattr(place, "load", lambda name: known[name])
    return known
