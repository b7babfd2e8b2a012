"""Search spaces, benchmarks and splits. Names load when they are first used; nothing here imports torch until graphs
are asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if __name__ == "datasets":  # the folder of a checkout, found from its root
    raise ImportError(
        "this is archrank.datasets, imported from the root of archrank's repository under another name: import archrank.datasets, or run elsewhere to get the package called datasets"
    )

if TYPE_CHECKING:
    from archrank.datasets.benchmark import Benchmark, read_benchmark, write_benchmark
    from archrank.datasets.catalog import available, load
    from archrank.datasets.errors import ArchrankError, DataError, DataMissing
    from archrank.datasets.graphs import Graphs
    from archrank.datasets.space import SearchSpace
    from archrank.datasets.splits import PROTOCOLS, Protocol, Split, make_split

_HOME = {
    "benchmark": ("Benchmark", "read_benchmark", "write_benchmark"),
    "catalog": ("available", "load"),
    "errors": ("ArchrankError", "DataError", "DataMissing"),
    "graphs": ("Graphs",),
    "space": ("SearchSpace",),
    "splits": ("PROTOCOLS", "Protocol", "Split", "make_split"),
}
__all__ = [
    "PROTOCOLS",
    "ArchrankError",
    "Benchmark",
    "DataError",
    "DataMissing",
    "Graphs",
    "Protocol",
    "SearchSpace",
    "Split",
    "available",
    "load",
    "make_split",
    "read_benchmark",
    "write_benchmark",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"archrank.datasets.{module}"), name)
    raise AttributeError(f"module 'archrank.datasets' has no attribute '{name}'")
