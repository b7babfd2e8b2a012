"""docs/clusters.md does what it says: its job array, run as SLURM would, and its merge give the store of a run on one
machine."""

import os
import subprocess
import sys
from pathlib import Path

from tests.commands import ended
from tests.eval.runs import content

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clusters.md"


def test_the_job_array_of_the_page_and_its_merge_are_the_run_on_one_machine(tmp_path, capfd):
    array, merge = (part.split("```")[0] for part in PAGE.read_text().split("```bash\n")[1:3])
    assert "--suite default" in array and "--array=1-8" in array
    plan = "-e path+ridge,bag_of_ops+ridge,adjacency+ridge --budgets 12 --seeds 2"
    (tmp_path / "job.sbatch").write_text(array.replace("--suite default", plan))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "archrank").write_text(f'#!/bin/bash\nexec {sys.executable} -m archrank "$@"\n')
    (tmp_path / "bin" / "archrank").chmod(0o755)
    env = dict(
        os.environ, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}", SLURM_CPUS_PER_TASK="0", SLURM_ARRAY_TASK_COUNT="2"
    )

    def bash(*words, **more):
        done = subprocess.run(["bash", *words], cwd=tmp_path, env=env | more, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = [bash("job.sbatch", SLURM_ARRAY_TASK_ID=str(number)) for number in (1, 2)]
    assert all(f"trials in shard {number}/2: 0 kept" in text for number, text in enumerate(said, 1)), said
    bash("-c", f"set -e\n{merge.splitlines()[0]}")
    assert ended(capfd, "run", *plan.split(), "--workers", "0", "--store", tmp_path / "whole").returncode == 0
    assert content(tmp_path / "results" / "store") == content(tmp_path / "whole")
