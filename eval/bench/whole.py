"""One case from start to exit, to be timed as a command: `python -m archrank.eval.bench.whole '{"case": {...},
"updates": null, "threads": 1}'`."""

from __future__ import annotations

import json
import sys

import torch

from archrank.eval.bench.case import Case
from archrank.eval.bench.runners import Engine
from archrank.eval.bench.subject import prepare
from archrank.eval.engine.batching import steps_per_epoch


def main(job: str) -> None:
    """Train the ensemble, by its whole recipe or so many steps, and predict the case's rows."""
    wanted = json.loads(job)
    torch.set_num_threads(wanted["threads"])
    subject = prepare(Case(**wanted["case"]))
    engine = Engine(subject, len(subject.members))
    recipe = subject.recipe
    full = recipe.updates or (recipe.epochs or 0) * steps_per_epoch(len(subject.members[0].train), recipe)
    engine.train(wanted["updates"] or full, lambda: None)
    engine.predict()


if __name__ == "__main__":
    main(sys.argv[1])
