"""One case from start to exit, to be timed as a command: `python -m archrank.eval.bench.whole '{"case": {...},
"updates": null, "threads": 1}'`."""

from __future__ import annotations

import json
import sys

import torch

from archrank.eval.bench.case import Case
from archrank.eval.bench.runners import Engine
from archrank.eval.bench.subject import prepare


def main(job: str) -> None:
    """Train the ensemble, by its whole recipe or so many steps, and predict the case's rows."""
    wanted = json.loads(job)
    torch.set_num_threads(wanted["threads"])
    subject = prepare(Case(**wanted["case"]))
    engine = Engine(subject, len(subject.job.members))
    engine.train(wanted["updates"] or subject.job.steps, lambda: None)
    engine.predict()


if __name__ == "__main__":
    main(sys.argv[1])
