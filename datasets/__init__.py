"""Search spaces, benchmarks and splits. Nothing here imports torch until graphs are asked for."""

from archrank.datasets.benchmark import Benchmark, read_benchmark, write_benchmark
from archrank.datasets.catalog import available, load
from archrank.datasets.errors import ArchrankError, DataError, DataMissing
from archrank.datasets.space import SearchSpace
from archrank.datasets.splits import PROTOCOLS, Protocol, Split, make_split

__all__ = ["PROTOCOLS", "ArchrankError", "Benchmark", "DataError", "DataMissing", "Protocol", "SearchSpace", "Split",
           "available", "load", "make_split", "read_benchmark", "write_benchmark"]
