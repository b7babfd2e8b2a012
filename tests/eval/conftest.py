"""Fixtures of tests that run trials."""

import pytest

from tests.eval.runs import PLUGIN


@pytest.fixture
def short_training(monkeypatch):
    """Sixty steps instead of the recipe's; what is tested here does not depend on how long a predictor trains."""
    from archrank.eval.engine import recipes

    short = recipes.COMMON.model_copy(update={"updates": 60})
    monkeypatch.setattr(recipes, "COMMON", short)
    monkeypatch.setitem(recipes.RECIPES._loaded, "common", short)


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return f"{path}:Mine"
