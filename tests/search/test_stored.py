"""What searches leave in a store: kept, damaged, interrupted, and by whose key."""

import dataclasses
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.recipes import SEARCH
from archrank.eval.search.plan import plan_searches
from archrank.eval.search.run import run_searches
from archrank.eval.search.traces import Judge, read_searches, write_search
from archrank.eval.trials.specs import parse_list
from tests.search.test_search import task_of


def test_stored_searches_are_kept_and_damaged_ones_made_again(table, tmp_path):
    plan = plan_searches(
        parse_list("adjacency+ridge"), benchmarks=[table], strategies=["random", "predictor"], queries=30, repeats=3
    )
    shares: list[float] = []
    assert (first := run_searches(plan, tmp_path, workers=0, on_progress=shares.append)).done == 2 and not first.failed
    assert shares == sorted(shares) and len(set(shares)) >= 4 and shares[-1] == pytest.approx(1)
    rows = {record.key: record.rows for record in read_searches([tmp_path])[0]}
    before = {path.name: path.read_bytes() for path in (tmp_path / "searches").iterdir()}
    assert run_searches(plan, tmp_path, workers=0).kept == 2
    name = plan.tasks[0].key + ".json"
    (tmp_path / "searches" / name).write_bytes(before[name].replace(b'"repeats": 3', b'"repeats": 4'))
    records, problems = read_searches([tmp_path])
    assert len(records) == 1 and len(problems) == 1 and name in problems[0]
    assert run_searches(plan, tmp_path, workers=0).done == 1
    assert {record.key: record.rows for record in read_searches([tmp_path])[0]} == rows


SCRIPT = """
import sys
from pathlib import Path
from archrank.datasets import load
from archrank.eval.search.plan import plan_searches
from archrank.eval.search.run import run_searches

if __name__ == "__main__":
    table = load("digits101").subset(range(0, 6032, 20))
    plan = plan_searches([], benchmarks=[table], strategies=["random", "local", "evolution"], queries=40, repeats=20)
    run_searches(plan, Path(sys.argv[1]), workers=1)
"""


def test_a_killed_run_leaves_no_worker_and_resumes_to_the_bit(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    words = [sys.executable, str(tmp_path / "script.py")]
    run = subprocess.Popen([*words, str(tmp_path / "killed")])
    deadline = time.monotonic() + 60
    workers = []
    while not workers and time.monotonic() < deadline:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    run.kill()
    run.wait()

    def alive():
        return [
            pid
            for pid in workers
            if Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    while alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers and not alive()
    for store in ("killed", "whole"):
        subprocess.run([*words, str(tmp_path / store)], check=True)
    rows = [
        {record.key: record.rows for record in read_searches([tmp_path / store])[0]} for store in ("killed", "whole")
    ]
    assert len(rows[0]) == 3 and rows[0] == rows[1]


def test_a_search_that_failed_says_why(table, tmp_path):
    plan = plan_searches(parse_list("adjacency+ridge"), benchmarks=[table], strategies=["bo"], queries=30, repeats=3)
    summary = run_searches(plan, tmp_path, workers=0)
    assert summary.done + len(summary.failed) == 1
    if summary.failed:
        assert "standard deviation" in summary.failed[0][1]


def test_a_record_names_its_task(table, tmp_path):
    task = task_of(table, "random")
    write_search(tmp_path, task, [[0, 1]] * 4, 0.0, {})
    assert read_searches([tmp_path])[0][0].planned == task


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("table", 5, "field task.table: Input should be a valid string"),
        ("encoder", [1], "field task.encoder: "),
        ("queries", "4", "field task.queries: "),
    ],
)
def test_a_record_whose_task_has_fields_of_other_types_is_left_out_in_a_line(table, tmp_path, field, value, says):
    task = dataclasses.replace(task_of(table, "random"), **{field: value})
    write_search(tmp_path, task, [[0, 1]] * 4, 0.0, {})
    records, (problem,) = read_searches([tmp_path])
    assert not records and says in problem and "\n" not in problem


def test_a_record_of_more_queries_than_the_table_has_rows_takes_no_memory(table, tmp_path):
    task = dataclasses.replace(task_of(table, "random"), queries=10**15)
    write_search(tmp_path, task, [[0, 1]] * task.repeats, 0.0, {})
    (record,), _ = read_searches([tmp_path])
    with pytest.raises(ArchrankError, match="more queries than the table has rows"):
        Judge.of(table, task).regret(record)


def test_the_key_of_a_search_holds_what_its_recipe_is():
    def task(encoder, **fields):
        chosen = SEARCH.model_copy(update=fields)
        return plan_searches(
            parse_list(encoder, "here"), benchmarks=["digits101"], strategies=["bananas"], recipe=chosen
        ).tasks[0]

    quick, slow = task("gcn", lr=0.01), task("gcn", lr=0.001)
    assert quick.recipe == slow.recipe == "search" and quick.key != slow.key
    assert task("path+ridge", lr=0.01).key == task("path+ridge", lr=0.001).key  # trained by no recipe
    # Searches of earlier versions, which do not say it, keep their keys.
    fields = {name: value for name, value in dataclasses.asdict(quick).items() if name not in ("training", "within")}
    old = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    assert dataclasses.replace(quick, training="").key == old
