"""One case from start to exit, to be timed as a command: `python -m archrank.eval.bench.end_to_end '{"case": {...},
"updates": null, "threads": 1}'`."""

from __future__ import annotations

import json
import sys

import torch

from archrank.eval.bench.case import Case
from archrank.eval.bench.prepared_case import prepare
from archrank.eval.bench.runners import Engine


def main(job: str) -> None:
    """Train the ensemble, by its whole recipe or so many steps, and predict the case's rows."""
    settings = json.loads(job)
    torch.set_num_threads(settings["threads"])
    prepared = prepare(Case(**settings["case"]))
    engine = Engine(prepared, len(prepared.job.members))
    engine.train(settings["updates"] or prepared.job.steps, lambda: None)
    engine.predict()


if __name__ == "__main__":
    main(sys.argv[1])
