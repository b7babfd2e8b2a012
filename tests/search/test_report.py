"""The section Search of a report, and a report of searches alone."""

import numpy as np
import pytest

from archrank.datasets import load
from archrank.datasets.errors import ArchrankError
from archrank.eval.search.guided import subroutine_strategies
from archrank.eval.search.plan import plan_searches
from archrank.eval.search.run import run_searches
from archrank.eval.trials.specs import parse_list
from archrank.reports import build
from archrank.reports.words import FEW_LETTERS


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    bench = load("digits101")
    plan = plan_searches([], benchmarks=[bench], strategies=["random", "local"], queries=30, repeats=5)
    folder = tmp_path_factory.mktemp("searches")
    assert run_searches(plan, folder, workers=0).done == 2
    return folder


def test_a_store_of_searches_alone_has_a_report(store, tmp_path):
    build([store], tmp_path, formats=("html", "md", "tex", "json"))
    text = (tmp_path / "report.md").read_text()
    assert "ranks first: test regret" in text and "queries saved" in text and "digits101" in text
    assert (tmp_path / "figures" / "search-0.svg").is_file()


def test_letters_that_do_not_suffice_are_said_not_to(store, tmp_path, monkeypatch):
    monkeypatch.setattr("archrank.eval.search.compare.letters", lambda apart: ["a", ""])
    build([store], tmp_path, formats=("md",))
    assert FEW_LETTERS in (tmp_path / "report.md").read_text()


def test_another_table_is_said(store, tmp_path):
    other = load("digits101").subset(np.arange(100))
    build([store], tmp_path, formats=("md",), load=lambda name: other)
    assert "not the one these searches were made on" in (tmp_path / "report.md").read_text()


def test_a_damaged_search_is_named(store, tmp_path):
    (store / "searches" / ("0" * 64 + ".json")).write_text("{}")
    build([store], tmp_path, formats=("md",))
    assert "left out, the same search makes it again" in (tmp_path / "report.md").read_text()


def test_encodings_in_one_subroutine_alone(tmp_path):
    bench = load("digits101").subset(np.arange(0, 6032, 40))
    specs = parse_list("adjacency+gp,bag_of_ops+ridge")
    strategies = subroutine_strategies(specs)
    assert strategies[1:3] == ["random[sample=adjacency]", "random[sample=bag_of_ops]"] and len(strategies) == 7
    (gp,) = parse_list("adjacency+gp")
    plan = plan_searches([gp], benchmarks=[bench], strategies=subroutine_strategies([gp]), queries=20, repeats=3)
    assert len(plan.tasks) == 5 and run_searches(plan, tmp_path, workers=0).done == 5
    build([tmp_path], tmp_path, formats=("md",), load=lambda name: bench)
    text = (tmp_path / "report.md").read_text()
    assert "perturb (evolution)" in text and "random search" in text
    with pytest.raises(ArchrankError, match="without options"):
        subroutine_strategies(parse_list("gin"))
