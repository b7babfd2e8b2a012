"""NAS-Bench-NLP (Klyuchnikov et al., IEEE Access 2022): recurrent cells trained as language models on PTB or
WikiText-2.

Graph: operation on node. `x` and the previous hidden states are inputs, every step of the recipe is a node, and each
new hidden state gets an output node behind the step that makes it. The order of a step's inputs (it matters for `blend`
alone) is not part of the graph.

Reads the official zip of JSON logs, one per training. A recipe that was trained several times is one row with the mean
of its runs; a training whose loss became NaN counts as not measured.
"""

from __future__ import annotations

import graphlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archrank.datasets.errors import DataError
from archrank.datasets.importers.common import flat, metric, number
from archrank.datasets.importers.source import Importer, Source
from archrank.datasets.io.bounded import parse_json, zip_members
from archrank.datasets.keys import graph_keys

if TYPE_CHECKING:
    import pandas as pd

INPUTS = ("x", "h_prev_0", "h_prev_1", "h_prev_2")
STEPS = (
    "linear",
    "blend",
    "elementwise_prod",
    "elementwise_sum",
    "activation_tanh",
    "activation_sigm",
    "activation_leaky_relu",
)
OUTPUTS = ("h_new_0", "h_new_1", "h_new_2")
OPS = (*INPUTS, *STEPS, *OUTPUTS)
FILES = {"wikitext2": "logs_wikitext2.zip", "ptb": "logs.zip"}
TITLES = {"wikitext2": "WikiText-2", "ptb": "Penn Treebank"}
LARGEST = 64
MOST_RUNS = 3


def locate(root: Path, variant: str = "wikitext2") -> Path | None:
    """The zip of one corpus below a data folder, or None."""
    path = root / "nasbench_nlp" / FILES[variant]
    return path if path.is_file() else None


def graph(recipe: object, where: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Op ids and edges of a recipe {step: {op, input: [...]}}, in topological order; DataError for a cycle or anything
    unknown."""
    if not isinstance(recipe, dict) or not 0 < len(recipe) <= LARGEST:
        raise DataError(f"{where}: a recipe has 1 to {LARGEST} steps")
    before: dict[str, list[str]] = {}
    for name, step in recipe.items():
        sources = step.get("input") if isinstance(step, dict) else None
        if not isinstance(sources, list) or not sources:
            raise DataError(f"{where}: step '{name}' needs an op and a list of inputs")
        if step.get("op") not in STEPS:
            raise DataError(
                f"{where}: step '{name}' has unknown operation '{step.get('op')}'; known: {', '.join(STEPS)}"
            )
        for source in sources:
            if source not in recipe and source not in INPUTS:
                raise DataError(f"{where}: step '{name}' reads '{str(source)[:40]}', which nothing makes")
        before[name] = sources
    if "h_new_0" not in recipe:
        raise DataError(f"{where}: no step makes h_new_0")
    try:
        order = [name for name in graphlib.TopologicalSorter(before).static_order() if name in recipe]
    except graphlib.CycleError as error:
        raise DataError(f"{where}: steps {' -> '.join(error.args[1])} form a cycle") from None
    inputs = [name for name in INPUTS if any(name in sources for sources in before.values())]
    place = {name: position for position, name in enumerate((*inputs, *order))}
    outputs = [name for name in OUTPUTS if name in recipe]
    ops = [OPS.index(name) for name in inputs] + [OPS.index(recipe[name]["op"]) for name in order]
    edges = {(place[source], place[name]) for name in order for source in before[name]}
    edges |= {(place[name], len(place) + position) for position, name in enumerate(outputs)}
    return ops + [OPS.index(name) for name in outputs], sorted(edges)


@dataclass
class _Entry:
    name: str
    ops: list[int]
    edges: list[tuple[int, int]]
    parameters: float
    runs: list[tuple[float, float, float]] = field(default_factory=list)


def _run(log: dict[str, Any], where: str) -> tuple[float, float, float] | None:
    """Lowest validation loss, test loss at that epoch, and seconds; None for a training that broke."""
    if log.get("status") != "OK":
        return None
    try:
        val, test, seconds = (np.array(log[name], np.float64) for name in ("val_losses", "test_losses", "wall_times"))
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{where}: needs lists of numbers val_losses, test_losses and wall_times") from None
    if (
        val.ndim != 1
        or val.shape != test.shape
        or not len(val)
        or not np.isfinite(np.concatenate([val, test, seconds])).all()
    ):
        raise DataError(f"{where}: says status OK, but its losses are empty, of different length or not finite")
    best = int(val.argmin())
    return float(val[best]), float(test[best]), float(seconds.sum())


def read(path: Path, variant: str = "wikitext2") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of one corpus, recipes in the order of the logs' names."""
    import pandas as pd

    rows: dict[str, _Entry] = {}
    for member, data in zip_members(path, ".json"):
        where = f"{path}: {member}"
        log = parse_json(data, where)
        if not isinstance(log, dict) or not isinstance(log.get("recepie"), str):
            raise DataError(f"{where}: a log is a dictionary with a 'recepie' (their spelling)")
        recipe = parse_json(log["recepie"].encode(), f"{where}: recepie")
        text = json.dumps(recipe, sort_keys=True)
        parameters = number(log.get("num_params"), f"{where}: num_params")
        if text not in rows:
            rows[text] = _Entry(str(log.get("recepie_id", member)), *graph(recipe, where), parameters)
        if (run := _run(log, where)) is not None:
            rows[text].runs.append(run)
    if not rows:
        raise DataError(f"{path}: holds no log; is this the right archive?")
    entries = list(rows.values())
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        names = [f"{name}-{position}" for position, name in enumerate(names)]
    runs = np.full((len(entries), MOST_RUNS, 3), np.nan)
    for row, entry in enumerate(entries):
        used = entry.runs[:MOST_RUNS]
        runs[row, : len(used)] = np.array(used).reshape(-1, 3)
    mean = np.array([np.mean(entry.runs[:MOST_RUNS], axis=0) if entry.runs else [np.nan] * 3 for entry in entries])
    frame = pd.DataFrame(
        {
            "arch": names,
            "ops": [entry.ops for entry in entries],
            "edges": [flat(entry.edges) for entry in entries],
            "key": graph_keys([entry.ops for entry in entries], [entry.edges for entry in entries]),
            "val_loss": mean[:, 0],
            **{f"val_loss_run{run + 1}": runs[:, run, 0] for run in range(MOST_RUNS)},
            "test_loss": mean[:, 1],
            "parameters": [entry.parameters for entry in entries],
            "train_seconds": mean[:, 2],
        }
    )
    repeats = [f"val_loss_run{run + 1}" for run in range(MOST_RUNS) if np.isfinite(runs[:, run, 0]).any()]
    roles = {
        "input": 0,
        **{f"input_{name}": OPS.index(name) for name in INPUTS[1:]},
        "output": OPS.index("h_new_0"),
        **{f"output_{name}": OPS.index(name) for name in OUTPUTS[1:]},
    }
    more = {"repeats": repeats} if len(repeats) > 1 else {}
    card = {
        "name": f"nasbench_nlp_{variant}",
        "title": f"NAS-Bench-NLP, {TITLES[variant]}",
        "space": {
            "name": "nasbench_nlp",
            "ops": list(OPS),
            "max_nodes": max(len(entry.ops) for entry in entries),
            "cells": 1,
            "roles": roles,
        },
        "metrics": {
            "val_loss": metric(
                "log perplexity on the validation text, best epoch, mean of the runs", "nat/token", "min", **more
            ),
            "test_loss": metric("log perplexity on the test text at that epoch, mean of the runs", "nat/token", "min"),
            "parameters": metric("trainable parameters", "count", "min"),
            "train_seconds": metric("training time", "s", "min"),
        },
        "default_target": "val_loss",
        "source": "github.com/fmsnew/nas-bench-nlp-release",
        "licence": "Apache-2.0",
        "citation": "N. Klyuchnikov et al. NAS-Bench-NLP: Neural Architecture Search Benchmark for Natural Language Processing. "
        "IEEE Access 2022.",
        "facts": FACTS[variant],
    }
    return frame, card


FACTS: dict[str, dict[str, Any]] = {"wikitext2": {"architectures": 291, "classes": 265}, "ptb": {}}


IMPORTER = Importer(
    "nasbench_nlp",
    summary="NAS-Bench-NLP (Klyuchnikov et al., IEEE Access 2022): recurrent cells trained as language models on PTB or WikiText-2",
    sources=(
        *(
            Source(
                f"nasbench_nlp_{corpus}",
                f"NAS-Bench-NLP, recurrent cells as language models on {title}",
                f"nasbench_nlp/{file}",
                f"the NAS-Bench-NLP project (github.com/fmsnew/nas-bench-nlp-release), {where}",
                variant=corpus,
            )
            for corpus, title, file, where in (
                ("ptb", "Penn Treebank", "logs.zip", "train_logs_single_run/logs.zip"),
                ("wikitext2", "WikiText-2", "logs_wikitext2.zip", "the WikiText-2 logs in one zip"),
            )
        ),
    ),
    locate=locate,
    read=read,
)
