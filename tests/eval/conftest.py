"""Fixtures of tests that run trials."""

import pytest

from tests.eval.runs import PLUGIN


@pytest.fixture
def short_training(monkeypatch):
    """Sixty steps instead of the recipe's; what is tested here does not depend on how long a predictor trains."""
    from archrank.eval.engine import recipes
    from archrank.eval.trials import groups

    short = recipes.COMMON.model_copy(update={"updates": 60})
    for module in (groups, recipes):
        monkeypatch.setattr(module, "COMMON", short)


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return f"{path}:Mine"
