import json

import pytest

from archrank.datasets.errors import ArchrankError
from archrank.eval.trials.suite import Suite, note_skipped, read_skipped, read_suite, shipped


@pytest.fixture
def without_tables(monkeypatch, tmp_path):
    """A machine with no data folder and nothing imported."""
    monkeypatch.setenv("ARCHRANK_DATA", "")
    monkeypatch.setenv("ARCHRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ARCHRANK_TABLES", str(tmp_path / "tables"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def suite_of(**fields):
    return Suite(encoders=["adjacency+ridge"], budgets=[12], seeds=1, **fields)


def test_optional_benchmarks_are_run_where_they_are_at_hand_and_named_where_not(without_tables):
    suite = suite_of(benchmarks=["digits101"], optional=["nasbench201", "nasbench_graph_cora"])
    names, skipped = suite.available_locally()
    assert names == ["digits101"] and list(skipped) == ["nasbench201", "nasbench_graph_cora"]
    assert "put nasbench201/" in skipped["nasbench201"] and "NAS-Bench-Graph" in skipped["nasbench_graph_cora"]
    (without_tables / "data" / "nasbench201").mkdir(parents=True)
    (without_tables / "data" / "nasbench201" / "table.csv").touch()
    names, skipped = suite.available_locally()
    assert names == ["digits101", "nasbench201"] and list(skipped) == ["nasbench_graph_cora"]


def test_a_misspelt_optional_benchmark_is_refused(without_tables):
    with pytest.raises(ArchrankError, match="unknown benchmark 'nasbench21': did you mean nasbench201"):
        suite_of(benchmarks=["digits101"], optional=["nasbench21"]).available_locally()


def test_every_shipped_suite_can_be_planned_with_nothing_but_the_package(without_tables):
    elsewhere = {"devices": ["hwnasbench201"]}  # what a suite is about may be in no package
    for name in shipped():
        assert read_suite(name).available_locally()[0] == elsewhere.get(name, ["digits101"]), (
            f"suite {name} needs a table that is not in the package"
        )


def test_what_was_skipped_is_left_in_the_store_until_it_is_run(tmp_path):
    note_skipped(tmp_path, "default", {"nasbench201": "get it"})
    (tmp_path / "suites" / "broken.json").write_text('{"suite": "bro')
    assert read_skipped([tmp_path, tmp_path / "nowhere"]) == {"default": {"nasbench201": "get it"}}
    note_skipped(tmp_path, "default", {})
    assert read_skipped([tmp_path]) == {"default": {}}


def test_a_run_says_what_it_skips_and_the_report_repeats_it(without_tables, capsys):
    from archrank.cli import main
    from archrank.reports import build

    (without_tables / "mine.yaml").write_text(
        json.dumps(
            {
                "benchmarks": ["digits101"],
                "optional": ["nasbench201"],
                "encoders": ["adjacency+ridge", "path+ridge"],
                "budgets": [12],
                "seeds": 2,
            }
        )
    )
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--suite", "mine.yaml", "--store", "store", "--workers", "0"])
    assert stopped.value.code == 0
    said = capsys.readouterr()
    assert (
        said.err.startswith("skipped nasbench201: its table is not available locally; put nasbench201/")
        and "4 trained, 0 failed" in said.out
    )
    build(["store"], "out", formats=("md",))
    page = (without_tables / "out" / "report.md").read_text()
    assert "Suites run: mine." in page
    assert "**Not run: nasbench201** of suite mine, whose table was not available locally; put nasbench201/" in page
