"""Statistics over a data frame of trials: one row per trial, the columns of `docs/store.md`.

Needed columns: ``label benchmark space target protocol recipe budget seed`` and the metric; used where present:
``status`` ("done" or "failed"), ``split``, ``test`` (number of test architectures), ``test_set`` (its digest). Every
function is pure, takes the frame first, returns frozen dataclasses or new frames, and raises `ComparisonError` (one
line) for trials that cannot be compared. How each number is computed, with measured error rates: `docs/statistics.md`.
"""

from archrank.eval.metrics import digits, tau_standard_error
from archrank.eval.statistics.bootstrap import LEFT_OUT, Bootstrap, bootstrap
from archrank.eval.statistics.ceiling import NoiseCeiling, noise_ceiling
from archrank.eval.statistics.comparison import Comparison, sentence
from archrank.eval.statistics.coverage import Coverage, coverage
from archrank.eval.statistics.efficiency import Efficiency, area_under_curve, label_efficiency
from archrank.eval.statistics.friedman import Friedman, friedman
from archrank.eval.statistics.means import values
from archrank.eval.statistics.power import seeds_needed
from archrank.eval.statistics.results import ALPHA, KINDS, ComparisonError, Interval, IntervalKind
from archrank.eval.statistics.rounding import rounded
from archrank.eval.statistics.tiers import as_family, compare, compare_each, leaderboard, pairs, tiers

__all__ = [
    "ALPHA",
    "KINDS",
    "LEFT_OUT",
    "Bootstrap",
    "Comparison",
    "ComparisonError",
    "Coverage",
    "Efficiency",
    "Friedman",
    "Interval",
    "IntervalKind",
    "NoiseCeiling",
    "area_under_curve",
    "as_family",
    "bootstrap",
    "compare",
    "compare_each",
    "coverage",
    "digits",
    "friedman",
    "label_efficiency",
    "leaderboard",
    "noise_ceiling",
    "pairs",
    "rounded",
    "seeds_needed",
    "sentence",
    "tau_standard_error",
    "tiers",
    "values",
]
