"""Training, the plain way: one network, one loop, PyTorch's own parts. What the ensemble is tested against, and where
to read what a step does."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from archrank.datasets.graphs import Graphs
from archrank.eval.engine.batching import Member, batches, steps_per_epoch
from archrank.eval.engine.network import Network
from archrank.eval.engine.random_numbers import derive_seed
from archrank.eval.engine.recipes import Recipe
from archrank.eval.engine.supervised import compared, supervised
from archrank.eval.engine.training import learning_rate


def train_plainly(
    build: Callable[[], nn.Module],
    graphs: Graphs,
    member: Member,
    recipe: Recipe,
    *,
    twins: Graphs | None = None,
    pairs: bool = False,
) -> tuple[Network, Network]:
    """Train one network as `training.fit` trains a member of an ensemble, to rounding.

    Args:
        build: makes the encoder.
        graphs: the whole space.
        member: training rows [n] and their labels [n]; its seed decides weights and batches.
        recipe: how to train. Pairs that a recipe draws at random (`pairs_per_item`, `difference`) and dropout are not
            here: a member draws them from a stream of its own (`batching.Noise`).
        twins: an equivalent of every architecture, where the recipe has a consistency loss.
        pairs: train through the encoder's `compare`.

    Returns:
        The network after its last step, in training mode, and the one that predicts: with the moving average of its
        weights, where the recipe keeps one, in evaluation mode.
    """
    torch.manual_seed(derive_seed(member.seed, "weights"))
    network = Network(build(), recipe.head, graphs[:2], pairs).train()
    average = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(
        network.parameters(), lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, weight_decay=recipe.weight_decay
    )
    views = [graphs, twins] if recipe.consistency and twins is not None else [graphs]
    order = [*batches(len(member.train), recipe, member.seed)]
    per_epoch = steps_per_epoch(len(member.train), recipe)
    for step, chosen in enumerate(order):
        rows, labels = torch.as_tensor(member.train[chosen]), torch.as_tensor(member.labels[chosen])[None]
        if pairs:
            odds, extra = network(graphs[rows], "pairs")
            loss = compared(recipe, odds[None], labels)[0] + extra
        else:
            scored = [network(view[rows]) for view in views]
            scores = [score[None] for score, _ in scored]
            loss = torch.stack([supervised(recipe, score, labels)[0] for score in scores]).mean() + scored[0][1]
            for other in scores[1:]:
                loss = loss + recipe.consistency * (scores[0] - other).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * learning_rate(recipe, step, len(order), per_epoch)
        optimizer.step()
        for name, weight in network.named_parameters():
            average[name].lerp_(weight.detach(), 1 - recipe.ema)
    predictor = copy.deepcopy(network).eval()
    predictor.load_state_dict(average, strict=False)
    return network, predictor
