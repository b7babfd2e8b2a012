"""What a repeated run keeps and what it trains again, after an edit, an interruption, a kill or damage."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from archrank.eval.runners.run import run
from archrank.eval.trials.results import latest, read_results, read_stores, read_trials
from archrank.eval.trials.store import Store
from tests.eval.runs import PLUGIN, content, plan_of

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("short_training")


def test_a_run_its_repetition_and_its_results(cells, tmp_path, mine):
    store = tmp_path / "store"
    plan = plan_of(cells, f"{mine},path+ridge,adjacency")
    first = run(plan, store, workers=0)
    assert (first.planned, first.kept, first.trained, first.failed) == (12, 0, 12, 0)
    before = content(store)
    second = run(plan_of(cells, f"{mine},path+ridge,adjacency"), store, workers=0)
    assert (second.kept, second.trained) == (12, 0) and content(store) == before
    frame = read_results([store])
    assert (
        sorted(frame["label"].unique()) == ["adjacency", "mine", "path+ridge"] and frame["kendall"].between(-1, 1).all()
    )
    assert list(Store(store).journals()) == []
    for key in frame["key"]:
        record = Store(store).load(key)
        index, _ = Store(store).predictions(record)
        assert not set(index) & set(plan.splits[record.trial.split].train(20))
    # Every encoder met the same test architectures.
    assert all(group["split"].nunique() == 1 for _, group in frame.groupby("seed"))


def test_adding_seeds_trains_only_the_new_ones(cells, tmp_path, mine):
    store = tmp_path / "store"
    run(plan_of(cells, mine, seeds=2), store, workers=0)
    more = run(plan_of(cells, mine, seeds=3), store, workers=0)
    assert (more.kept, more.trained) == (4, 2)


def test_an_edited_encoder_is_trained_again_and_no_other(cells, tmp_path, mine):
    store = tmp_path / "store"
    run(plan_of(cells, f"{mine},path+ridge"), store, workers=0)
    path = Path(mine.rpartition(":")[0])
    path.write_text(path.read_text().replace("nn.Dropout(0.2)", "nn.Dropout(0.1)"))
    again = run(plan_of(cells, f"{mine},path+ridge"), store, workers=0)
    assert (again.kept, again.trained) == (4, 4)


def test_two_programs_of_one_label_are_never_mixed_and_the_present_one_counts(cells, tmp_path, mine):
    store, path = tmp_path / "store", Path(mine.rpartition(":")[0])
    first, second = PLUGIN, PLUGIN.replace("nn.Dropout(0.2)", "nn.Dropout(0.1)")
    for day, (text, seeds, trained) in enumerate([(first, 4, 4), (second, 2, 2), (first, 4, 0)]):
        path.write_text(text)
        assert run(plan_of(cells, mine, [12], seeds), store, workers=0).trained == trained
        for record in read_trials([store]):
            if not record.provenance.finished.startswith("2026-01"):
                Store(store).write(
                    record.model_copy(
                        update={"provenance": record.provenance.model_copy(update={"finished": f"2026-01-0{day}"})}
                    )
                )

    def counted():
        actual, others = latest(read_trials([store]))
        return {(int(record.provenance.finished[-1]), record.trial.seed) for record in actual}, others

    assert counted() == ({(0, seed) for seed in range(4)}, 2)
    for text in (second, first.replace("0.2", "0.3")):  # a third program has no trials here: the newest ones count
        path.write_text(text)
        assert counted() == ({(1, 0), (1, 1)}, 4)
    path.unlink()
    assert counted() == ({(1, 0), (1, 1)}, 4)


def test_code_that_was_edited_after_the_planning_is_not_stored_as_what_was_planned(cells, tmp_path, mine):
    path, plan = Path(mine.rpartition(":")[0]), plan_of(cells, mine, [12])
    path.write_text(path.read_text().replace("nn.Dropout(0.2)", "nn.Dropout(0.15)"))
    assert run(plan, tmp_path / "store", workers=0).failed == 2
    said = set(read_results([tmp_path / "store"])["error"])
    assert said == {
        "RuntimeError: the source of mine.py is not the one that was planned: it was edited since; run the same command again, which plans anew"
    }
    assert run(plan_of(cells, mine, [12]), tmp_path / "store", workers=0).trained == 2


@pytest.mark.parametrize("lost", [1, 3])
def test_what_an_interruption_lost_comes_back_to_the_last_bit(cells, tmp_path, mine, lost):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(plan_of(cells, mine, seeds=3), whole, workers=0)
    plan = plan_of(cells, mine, seeds=3)
    from archrank.eval.trials.groups import make_groups

    make_groups(plan.trials, set(), Store(broken))  # the journal as it is when training starts
    run(plan, broken, workers=0)
    make_groups(plan.trials, set(), Store(broken))
    for key in sorted(Store(broken).keys())[:lost]:
        (broken / "trials" / f"{key}.json").unlink()
        (broken / "predictions" / f"{key}.parquet").unlink()
    summary = run(plan_of(cells, mine, seeds=3), broken, workers=0)
    assert summary.trained == lost and content(broken) == content(whole)


def test_a_journal_that_was_left_open_behind_finished_trials_is_closed(cells, tmp_path, mine):
    store = tmp_path / "store"
    run(plan_of(cells, mine), store, workers=0)
    Store(store).open_journal([item.trial for item in plan_of(cells, mine).trials])
    assert run(plan_of(cells, mine), store, workers=0).trained == 0 and not Store(store).journals()


def test_a_half_written_trial_is_not_taken_for_one(cells, tmp_path):
    store = tmp_path / "store"
    run(plan_of(cells, "path+ridge"), store, workers=0)
    victim = sorted((store / "trials").glob("*.json"))[0]
    victim.write_text(victim.read_text()[:50])
    assert len(read_stores([store]).records) == 3
    again = run(plan_of(cells, "path+ridge"), store, workers=0)
    assert (again.kept, again.trained) == (3, 1) and len(read_results([store])) == 4


def test_damaged_files_are_named(cells, tmp_path):
    store = tmp_path / "store"
    run(plan_of(cells, "path+ridge"), store, workers=0)
    first, second = sorted(Store(store).keys())[:2]
    (store / "trials" / f"{first}.json").write_text("{}")
    (store / "predictions" / f"{second}.parquet").write_text("x")
    reading = read_stores([store])
    assert [line.partition(": ")[0] for line in reading.damaged] == [
        str(store / "trials" / f"{first}.json"),
        str(store / "predictions" / f"{second}.parquet"),
    ]
    assert len(reading.records) == 2
    assert run(plan_of(cells, "path+ridge"), store, workers=0).trained == 2 and len(read_stores([store]).records) == 4


def test_a_trial_without_its_predictions_is_trained_again(cells, tmp_path):
    store = tmp_path / "store"
    run(plan_of(cells, "path+ridge"), store, workers=0)
    sorted((store / "predictions").iterdir())[0].unlink()
    assert (
        run(plan_of(cells, "path+ridge"), store, workers=0).trained == 1
        and len(list((store / "predictions").iterdir())) == 4
    )


def test_kill_at_random_moments_then_resume(tmp_path):
    """Kills of runs, of their workers and of both, by the tool that can do so for hours: what comes out equals an
    uninterrupted run, bit for bit, and nothing stays behind. Forked, so that kills fall into training and not into
    imports."""
    words = ["--rounds", "4", "--kills", "3", "--seeds", "1", "--folder", str(tmp_path), "--forked"]
    done = subprocess.run([sys.executable, "-m", "tests.tools.kill", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rounds = [json.loads(line) for line in (tmp_path / "kills.jsonl").read_text().splitlines()]
    assert len(rounds) == 4 and sum(sum(result["kills"].values()) for result in rounds) >= 2
    assert "0 lost, 0 doubled, 0 different, 0 files left over, 0 runs that went wrong" in done.stdout
