"""TabPFN and TabICL as heads: pre-trained networks that read the labelled rows and predict the others, without a fit.

Neither is part of archrank, for their weights are on no package index. Install the package, and let it download its
weights on a machine that may (both do so when first used; TabPFN asks for its licence to be accepted), or copy the
checkpoint over and name it:

    pip install tabpfn          # or: pip install tabicl
    archrank run -b nasbench201 -e 'base+docs/recipes/tabular_models.py:tabpfn' --budgets 20,78,390
    archrank run -b nasbench201 -e 'base+docs/recipes/tabular_models.py:tabpfn[checkpoint=/data/tabpfn-regressor.ckpt]'

Written from their documentation (tabpfn 9, tabicl 2) and tested with stand-ins, not with the weights. What they predict
depends on the version of the weights, of which a trial's key knows the name alone: keep the stores of versions apart.
"""

from __future__ import annotations

import importlib

import numpy as np

from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.heads import regressor

MIDDLE = [0.16, 0.5, 0.84]


@regressor("tabpfn")
def tabpfn(features, labels, seed, *, checkpoint: str = "auto", estimators: int = 8):
    """TabPFN (Hollmann et al., Nature 2025), 8 views of the data. Has a standard deviation."""
    model = _package("tabpfn").TabPFNRegressor(
        n_estimators=estimators, model_path=checkpoint, device="cpu", random_state=seed, ignore_pretraining_limits=True
    )
    return WithQuantiles(model.fit(features, labels))


@regressor("tabicl")
def tabicl(features, labels, seed, *, checkpoint: str | None = None):
    """TabICL's regressor (Qu et al., ICML 2026)."""
    return _package("tabicl").TabICLRegressor(model_path=checkpoint, random_state=seed).fit(features, labels)


class WithQuantiles:
    """A fitted model whose `predict` gives quantiles."""

    def __init__(self, model):
        self.model = model

    def predict(self, features):
        """Medians [n]."""
        return self._quantiles(features)[1]

    def std(self, features):
        """Half of what lies between the quantiles 0.16 and 0.84, [n]."""
        low, _, high = self._quantiles(features)
        return (high - low) / 2

    def _quantiles(self, features):
        found = self.model.predict(features, output_type="quantiles", quantiles=MIDDLE)
        return np.asarray(found, np.float64)


def _package(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ArchrankError(f"head {name} needs the package {name}: pip install {name}") from None
