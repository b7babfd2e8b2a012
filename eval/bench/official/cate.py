"""CATE's official code (MSU-MLSys-Lab/CATE): its network, loss and data set, which hides operations as batches are
made; the steps are those of its `run.py`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from archrank.encoders.cross_attention.cate import pair_up
from archrank.encoders.layers.complexity import cost
from archrank.eval.bench.official.checkout import arguments, enter
from archrank.eval.bench.prepared_case import PreparedCase
from archrank.eval.bench.pretraining import options

# By its name in the command line: what archrank calls it.
OPTIONS = {
    "graph_n_layers": "layers",
    "graph_d_model": "dim",
    "graph_n_head": "heads",
    "graph_d_ff": "hidden",
    "pair_n_layers": "cross_layers",
    "pair_d_model": "dim",
    "pair_n_head": "heads",
    "pair_d_ff": "cross_hidden",
    "batch_size": "batch",
    "learning_rate": "lr",
    "weight_decay": "weight_decay",
}


def steps(prepared: PreparedCase, checkout: Path) -> Callable[[int], int]:
    """Pre-training steps on pairs of all architectures, with the options of the case.

    AdamW is PyTorch's own, which is faster than the one of the older `transformers` that the code asks for.
    """
    enter(checkout)
    chosen, space, graphs = options(prepared), prepared.job.space, prepared.job.graphs
    words = [word for theirs, ours in OPTIONS.items() for word in (f"--{theirs}", str(chosen[ours]))]
    with arguments(["--do_train", "--n_vocab", str(len(space.ops)), *words]):
        settings = import_module("parameterLoader").argLoader()
    layers, helpers = import_module("layers"), import_module("utils")
    network = layers.PairWiseLearning(settings).train()
    criterion = layers.KLDivLoss(settings)
    first, second = pair_up(cost(graphs, space, chosen["metric"]), chosen["window"], chosen["pairs"])
    architectures = [list(row) for row in zip(graphs.ops.tolist(), graphs.adj.int().tolist())]
    pairs = [[pair] for pair in zip(first.tolist(), second.tolist())]

    class Pairs(import_module("data_process").Dataset):  # type: ignore[misc]
        def load(self) -> tuple[Any, ...]:
            return len(architectures), architectures, len(pairs), pairs

    class Silent:
        def log(self, text: str) -> None:
            """Says nothing."""

    batches = Pairs("train", settings, Silent(), helpers.prepare_train)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, eps=settings.adam_epsilon
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / settings.warmup_steps, 1.0))

    def advance(count: int) -> int:
        batches.batchShuffle()
        for step in range(count):
            *inputs, labels = batches[step % len(batches)]
            loss = criterion(network(*inputs), labels, int((labels != settings.PAD).sum())).sum()
            float(loss)
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        return count

    return advance
