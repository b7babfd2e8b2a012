"""Two runs on one store share the work, and a run that was killed holds nothing."""

import json
import os
import subprocess
import sys
import threading
import time

from archrank.eval.runners.run import ProgressCallback, run
from archrank.eval.trials import claims
from archrank.eval.trials.claims import Claims, alive, started
from archrank.eval.trials.store import Store
from tests.eval.runs import content, plan_of


def ended_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write(folder, name, **changes):
    (folder / "claims").mkdir(parents=True, exist_ok=True)
    path = folder / "claims" / f"{name}.json"
    path.write_text(json.dumps(claims.identity() | {"keys": ["a", "b"]} | changes))
    return path


def test_a_claim_excludes_others_until_it_is_released(tmp_path):
    with Claims(tmp_path) as mine, Claims(tmp_path) as other:
        assert mine.claim("one", ["a", "b"]) is None
        said = f"process {os.getpid()} on "
        assert other.claim("one", ["a", "b"]).startswith(said) and other.claim("two", ["b", "c"]).startswith(said)
        assert other.claim("three", ["c"]) is None and mine.claim("two", ["b", "d"]) is None
        mine.release("one")
        mine.release("two")
        assert other.claim("one", ["a", "b"]) is None
    assert not (tmp_path / "claims").exists()


def test_a_claim_ends_with_its_process_or_on_another_machine_when_it_is_not_renewed(tmp_path):
    gone, reused = write(tmp_path, "gone", pid=ended_process()), write(tmp_path, "reused", started="1")
    elsewhere, broken = write(tmp_path, "elsewhere", machine="another/"), tmp_path / "claims" / "broken.json"
    broken.write_text("")
    with Claims(tmp_path) as mine:
        assert mine.claim("new", ["a"]) == f"process {os.getpid()} on another"
        assert not gone.exists() and not reused.exists() and elsewhere.exists() and broken.exists()
        late = time.time() - claims.EXPIRES_S - 1
        for path in (elsewhere, broken):
            os.utime(path, (late, late))
        assert mine.claim("new", ["a"]) is None and not elsewhere.exists() and not broken.exists()


def test_claims_are_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "RENEWED_EVERY_S", 0.05)
    with Claims(tmp_path) as mine:
        mine.claim("one", ["a"])
        os.utime(tmp_path / "claims" / "one.json", (0, 0))
        time.sleep(0.5)
        assert (tmp_path / "claims" / "one.json").stat().st_mtime > 0


def test_a_process_is_told_from_one_that_has_its_number_now():
    assert alive(os.getpid(), started(os.getpid())) and not alive(os.getpid(), "1") and not alive(ended_process())


class Heard(ProgressCallback):
    def __init__(self):
        self.events = []

    def on_event(self, number, event, value):
        self.events.append((event, value))


def test_a_run_waits_for_what_another_one_trains_and_takes_over_what_that_leaves(cells, tmp_path):
    plan, store = plan_of(cells, "path+ridge,bag_of_ops+ridge", [12], 2), tmp_path / "store"
    run(plan, tmp_path / "other", workers=0)
    first, second = (item.trial.key for item in plan.trials[:2])
    with Claims(store) as other:
        assert other.claim("another", [first, second]) is None

        def finish():
            """The other run stores one of its trials, and is ended before the second."""
            time.sleep(1.0)
            for kind, name in (("predictions", f"{first}.parquet"), ("trials", f"{first}.json")):
                (store / kind / name).write_bytes((tmp_path / "other" / kind / name).read_bytes())
            other.release("another")

        thread, heard = threading.Thread(target=finish), Heard()
        thread.start()
        summary = run(plan, store, workers=0, callback=heard)
        thread.join()
    assert (summary.trained, summary.shared, summary.failed) == (3, 1, 0)
    names = [event for event, _ in heard.events if event != "progress"]
    assert names.count("claimed") == names.count("shared") == 1 and names.index("finished") < names.index("shared")
    assert {name.partition(".")[0] for name in content(store)} == Store(tmp_path / "other").keys()


def test_two_commands_at_once_train_everything_once_and_say_so(tmp_path):
    command = [
        sys.executable,
        "-m",
        "archrank",
        "run",
        "-e",
        "path+ridge,bag_of_ops+ridge,adjacency+ridge",
        "--budgets",
        "20",
        "--seeds",
        "2",
        "--workers",
        "0",
        "--store",
        "store",
    ]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    counts = [
        {
            words[-1]: int(words[0])
            for part in text.splitlines()[-1].split(":")[1].split(",")
            if (words := part.split()) and words[0].isdigit()
        }
        for text in said
    ]
    assert sum(count["trained"] for count in counts) == 6, said
    assert not (tmp_path / "store" / "claims").exists() and not list((tmp_path / "store" / "ensembles").iterdir())


def test_a_run_with_nothing_to_do_removes_the_claims_of_runs_that_were_killed(cells, tmp_path):
    plan = plan_of(cells, "path+ridge", [12], 1)
    run(plan, tmp_path, workers=0)
    left, held = write(tmp_path, "left", pid=ended_process()), write(tmp_path, "held")
    assert run(plan, tmp_path, workers=0).kept == 1
    assert not left.exists() and held.exists()


def test_empty_logs_of_runs_that_were_killed_go_with_the_next_run_when_nobody_trains(cells, tmp_path):
    plan = plan_of(cells, "bag_of_ops", seeds=1)
    run(plan, tmp_path, workers=0)
    logs = tmp_path / "logs"
    logs.mkdir(exist_ok=True)
    (logs / "killed.log").touch()
    (logs / "said.log").write_text("something")
    with Claims(tmp_path) as other:
        assert other.claim("elsewhere", ["a"]) is None
        run(plan, tmp_path, workers=0)
        assert (logs / "killed.log").exists()
    run(plan, tmp_path, workers=0)
    assert [path.name for path in logs.iterdir()] == ["said.log"]
