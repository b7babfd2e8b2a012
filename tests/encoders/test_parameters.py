import dataclasses

import numpy as np
import pytest
import torch

from archrank import datasets
from archrank.datasets.costs import COSTS
from archrank.datasets.errors import ArchrankError
from archrank.encoders.features.parameters import parameters
from archrank.encoders.layers.complexity import complexity
from archrank.eval.metrics import kendall
from archrank.eval.runners.run import run
from archrank.eval.trials.encodings import with_columns
from archrank.eval.trials.results import read_results
from archrank.eval.trials.specs import parse, parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import make_plan


def counted(cells, column):
    """The synthetic cells with a column of parameters."""
    card = cells.card.with_metrics({"parameters": {"unit": "count", "direction": "min", "description": "made up"}})
    return dataclasses.replace(cells, scores=cells.scores.assign(parameters=column), card=card)


def test_the_table_counts_and_where_it_does_not_the_operations_do(cells):
    column = np.random.default_rng(0).permutation(len(cells)).astype(float)
    table = counted(cells, column)
    assert np.array_equal(parameters(with_columns(table, COSTS), table.space)[:, 0].numpy(), column)
    assert np.array_equal(
        parameters(with_columns(table, COSTS)[[3, 1]], table.space, better="smaller")[:, 0].numpy(), -column[[3, 1]]
    )
    flops = parameters(with_columns(table, COSTS), table.space, metric="flops")[:, 0]
    assert torch.equal(flops, complexity(table.graphs, table.space, "flops"))
    for without in (cells, counted(cells, np.where(np.arange(len(cells)) == 7, np.nan, column))):
        actual = parameters(with_columns(without, COSTS), without.space)[:, 0]
        assert torch.equal(actual, complexity(without.graphs, without.space, "parameters"))


def test_it_ranks_in_a_run_without_labels(cells, tmp_path):
    plan = make_plan(
        parse_list("parameters,parameters[better=smaller],parameters+ridge"),
        benchmarks=[cells],
        budgets=[12, 40],
        seeds=2,
    )
    summary = run(plan, tmp_path, workers=0)
    assert (summary.trained, summary.failed) == (12, 0)
    frame = read_results([tmp_path])
    count = complexity(cells.graphs, cells.space).numpy()
    for key, label, tau in zip(frame["key"], frame["label"], frame["kendall"]):
        rows, _ = Store(tmp_path).predictions(Store(tmp_path).load(key))
        expected = kendall(cells.target()[rows], count[rows])
        if label == "parameters[better=smaller]":
            assert tau == pytest.approx(-expected)
        else:
            assert tau == pytest.approx(expected)  # one feature and a line: the labels decide the sign, no more


def test_what_does_not_rank_by_itself_needs_a_head():
    with pytest.raises(
        ArchrankError, match=r"path does not rank by itself; \+none needs one that does, such as parameters"
    ):
        parse("path+none")
    assert (parse("parameters")[0].label, parse("parameters+none")[0].label) == ("parameters", "parameters")


@pytest.mark.data
@pytest.mark.skipif(datasets.available()["nasbench201"] == "missing", reason="needs the NAS-Bench-201 table")
def test_tau_over_the_whole_of_nasbench201():
    benchmark = datasets.load("nasbench201")
    for graphs in (
        with_columns(benchmark, COSTS),
        benchmark.graphs.plain(),
    ):  # the stand-in orders this space as the true count does
        actual = kendall(benchmark.target("cifar10_val"), parameters(graphs, benchmark.space)[:, 0].numpy())
        assert actual == pytest.approx(0.534, abs=5e-4)
