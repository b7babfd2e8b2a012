import numpy as np
import pytest

from archrank.datasets import load
from archrank.eval.search.pool import Pool


@pytest.fixture(scope="module")
def table():
    bench = load("digits101")
    return bench.subset(np.arange(0, len(bench), 20))


@pytest.fixture(scope="module")
def pool(table):
    return Pool.of(table, [table.target("val_accuracy")])
