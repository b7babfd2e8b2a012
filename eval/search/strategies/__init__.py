"""Search strategies: what to query next. One module each.

A strategy is a function `(pool, rng, *, options) -> Steps` under `@strategy("name")`: a generator that yields what it
needs next, `Query(candidates)` or `Rank(candidates)`, and is sent the answer. So a strategy reads top to bottom, a run
answers many of them at once, and a user answers one by hand (`archrank.Search`).
"""

from __future__ import annotations

from archrank.datasets.registry import Registry
from archrank.eval.search.steps import Strategy

STRATEGIES: Registry[Strategy] = Registry("search strategy", "strategies", __name__, Strategy, markers=("strategy",))
