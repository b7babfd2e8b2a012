"""archrank: which way of encoding a neural architecture ranks unseen architectures best?

    import archrank
    results = archrank.run(["path", "gcn", "my_encoder.py:MyEncoder"], benchmarks=["digits101"], budgets=[20, 78],
    seeds=5) results.table()                       # one row per encoder, benchmark and budget, with intervals
    results.compare("gcn", "path")        # a paired comparison, with a sentence
    results.report("results")             # report.html and report.md

Names load when they are first used; `import archrank` takes milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archrank.api import Results, run
    from archrank.datasets.benchmark import Benchmark
    from archrank.datasets.catalog import load
    from archrank.datasets.errors import ArchrankError
    from archrank.datasets.graphs import Graphs
    from archrank.datasets.space import SearchSpace
    from archrank.encoders.registry import Part, Portfolio, encoder, encoding, portfolio
    from archrank.eval.auto_predictor import AutoPredictor
    from archrank.eval.predictor import Predictor
    from archrank.eval.search.study import Search

__version__ = "0.2.0"
__all__ = [
    "ArchrankError",
    "AutoPredictor",
    "Benchmark",
    "Graphs",
    "Part",
    "Portfolio",
    "Predictor",
    "Results",
    "Search",
    "SearchSpace",
    "encoder",
    "encoding",
    "load",
    "portfolio",
    "run",
]

_HOME = {
    "api": ("run", "Results"),
    "eval.auto_predictor": ("AutoPredictor",),
    "eval.predictor": ("Predictor",),
    "eval.search.study": ("Search",),
    "datasets.benchmark": ("Benchmark",),
    "datasets.catalog": ("load",),
    "datasets.errors": ("ArchrankError",),
    "datasets.graphs": ("Graphs",),
    "datasets.space": ("SearchSpace",),
    "encoders.registry": ("encoder", "encoding", "portfolio", "Part", "Portfolio"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"archrank.{module}"), name)
    raise AttributeError(f"module 'archrank' has no attribute '{name}'")
