"""arch2vec's official code (MSU-MLSys-Lab/arch2vec): its network, loss and preprocessing; the steps are those of
`models/pretraining_nasbench201.py`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch

from archrank.eval.bench.official.checkout import enter
from archrank.eval.bench.prepared_case import PreparedCase
from archrank.eval.bench.pretraining import options

CONFIGURATION = 4  # models/pretraining_nasbench201.sh


def steps(prepared: PreparedCase, checkout: Path) -> Callable[[int], int]:
    """Pre-training steps on all architectures, with the options of the case."""
    enter(checkout)
    model, helpers = import_module("models.model"), import_module("utils.utils")
    settings = import_module("models.configs").configs[CONFIGURATION]
    chosen, graphs, ops = options(prepared), prepared.job.graphs.plain(), len(prepared.job.space.ops)
    network = model.Model(
        input_dim=ops,
        hidden_dim=chosen["hidden"],
        latent_dim=chosen["latent"],
        num_hops=chosen["layers"] + 1,
        num_mlp_layers=2,
        dropout=chosen["dropout"],
        **settings["GAE"],
    ).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=chosen["lr"])
    criterion = model.VAEReconstructed_Loss(**settings["loss"])
    adjacency = graphs.adj.float()
    operations = torch.nn.functional.one_hot(graphs.ops, ops).float()
    batches = _endless(adjacency, operations, chosen["batch"])

    def advance(count: int) -> int:
        for _, (adj, own) in zip(range(count), batches):
            optimizer.zero_grad()
            adj, own, reverse = helpers.preprocessing(adj, own, **settings["prep"])
            own_guess, adj_guess, mean, spread = network(own, adj)
            adj_guess, own_guess = reverse(adj_guess, own_guess)
            adj, own = reverse(adj, own)
            loss = criterion((own_guess, adj_guess), (own, adj), mean, spread)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5)
            optimizer.step()
            loss.item()
        return count

    return advance


def _endless(adjacency: torch.Tensor, operations: torch.Tensor, size: int):  # type: ignore[no-untyped-def]
    """Pass after pass over both, split in batches as there."""
    while True:
        yield from zip(adjacency.split(size), operations.split(size))
