"""How many seeds would separate two predictors: against simulation, and where there is no answer."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from archrank.eval.statistics import bootstrap, seeds_needed


def trials(values):
    return pd.DataFrame(
        {"label": label, "space": "u", "benchmark": "b", "target": "t", "budget": 78, "seed": seed, "kendall": tau, "split": str(seed)}
        for label, taus in values.items() for seed, tau in enumerate(taus)
    )  # fmt: skip


def test_the_number_of_seeds_gives_the_power_it_promises() -> None:
    spread = np.array([-1.2, -0.4, 0.1, 0.5, 1.0])
    spread = (spread - spread.mean()) / spread.std(ddof=1)
    result = bootstrap(trials({"a": 0.6 + 0.02 * spread, "b": [0.58] * 5}), scope="splits", draws=0)
    needed = seeds_needed(result, "a", "b")
    rng = np.random.default_rng(0)
    actual = lambda n: np.mean(stats.ttest_1samp(rng.normal(0.02, 0.02, (4000, n)), 0, axis=1).pvalue < 0.05)  # noqa: E731
    assert actual(needed) >= 0.78 and actual(needed - 1) < 0.8
    assert seeds_needed(result, "b", "a") == needed < seeds_needed(result, "a", "b", family=36)


@pytest.mark.parametrize(
    "values", [{"a": [0.6, 0.6], "b": [0.6, 0.6]}, {"a": [0.6], "b": [0.5]}, {"a": [0.6, 0.1], "b": [0.1, 0.6]}]
)
def test_no_answer_without_a_difference_or_a_spread(values: dict[str, list[float]]) -> None:
    assert seeds_needed(bootstrap(trials(values), scope="splits", draws=0), "a", "b") is None
