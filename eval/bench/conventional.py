"""The conventional variant: one member at a time, torch-geometric's `Data`, `DataLoader` and flat batches, plain
PyTorch optimiser and schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.flow.flowerformer import FlowerFormer
from archrank.encoders.gnn.gated_gcn import GatedGCN
from archrank.encoders.gnn.gcn import NeuralPredictorGCN
from archrank.encoders.gnn.gin import GIN
from archrank.eval.bench.prepared_case import PreparedCase
from archrank.eval.bench.pyg_flowerformer import PygFlowerFormer
from archrank.eval.bench.pyg_networks import PygGatedGCN, PygGCN, PygGIN
from archrank.eval.engine.network import Network
from archrank.eval.engine.supervised import supervised
from archrank.eval.engine.training import learning_rate

FORMS: dict[type[nn.Module], Callable[[Any], Any]] = {
    NeuralPredictorGCN: PygGCN,
    GIN: PygGIN,
    GatedGCN: PygGatedGCN,
    FlowerFormer: PygFlowerFormer,
}
# As in FlowerFormer's official code.
PREDICTION_BATCH = 128


class PygNetwork(nn.Module):
    """Encoder and head of a `Network` in the form of torch-geometric, with the same weights; ArchrankError where it has
    no such form."""

    def __init__(self, ours: Network, cells: int = 1) -> None:
        super().__init__()
        form = FORMS.get(type(ours.encoder))
        if form is None or cells != 1 or ours.head is None:
            raise ArchrankError(f"{type(ours.encoder).__name__} has no torch-geometric form")
        self.encoder = form(ours.encoder)
        parts = [nn.Dropout(part.p) if isinstance(part, Dropout) else part for part in ours.head]
        self.head = nn.Sequential(*parts)
        self.sigmoid = ours.sigmoid

    def forward(self, data: Any) -> Tensor:
        """Scores [B]."""
        score = self.head(self.encoder(data)).squeeze(-1)
        return torch.sigmoid(score) if self.sigmoid else score


def as_data(graphs: Graphs, labels: NDArray[np.float64], ops: int, transform: Callable[[Data], Data]) -> list[Data]:
    """One `Data` per architecture: `x` one-hot float [n, ops], `edge_index`, label `y`, and what `transform` adds."""
    converted = []
    for b, label in enumerate(labels):
        nodes = int(graphs.mask[b].sum())
        x = nn.functional.one_hot(graphs.ops[b, :nodes], ops).float()
        data = Data(
            x=x, edge_index=graphs.adj[b].nonzero().T.contiguous(), y=torch.tensor([label], dtype=torch.float32)
        )
        converted.append(transform(data))
    return converted


class Conventional:
    """Trains and predicts the first member of a prepared case; see `runners` for what the methods promise."""

    members = 1

    def __init__(self, prepared: PreparedCase) -> None:
        self.prepared, job, member = prepared, prepared.job, prepared.job.members[0]
        if not job.spec.info.learned:
            raise ArchrankError(f"{prepared.case.encoder} is a fixed encoding: it has no torch-geometric form")
        if job.recipe.consistency or job.recipe.ema or job.pairs:
            raise ArchrankError(f"the recipe of {prepared.case.encoder} has no torch-geometric form")
        plain = job.graphs.plain()
        torch.manual_seed(member.seed)
        ours = job.network(plain[:2])
        self.network = PygNetwork(ours, job.space.cells).to(prepared.case.device)
        transform, ops = self.network.encoder.transform, len(job.space.ops)
        self.training = as_data(plain[torch.as_tensor(member.train)], member.labels, ops, transform)
        self.tested = as_data(plain[torch.as_tensor(prepared.rows)], np.zeros(len(prepared.rows)), ops, transform)

    def train(self, steps: int, began: Callable[[], None]) -> int:
        """`steps` optimiser steps or a few more (to the end of an epoch); calls `began` after the first, returns how
        many came after it."""
        recipe, device = self.prepared.job.recipe, self.prepared.case.device
        whole = recipe.updates is not None
        loader = DataLoader(self.training, min(recipe.batch, len(self.training)), shuffle=True, drop_last=whole)
        per_epoch = max(1, len(self.training) // recipe.batch) if whole else self.prepared.job.steps_per_epoch
        epochs = -(-steps // per_epoch)
        kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(
            self.network.parameters(),
            lr=recipe.lr,
            betas=recipe.betas,
            eps=recipe.eps,
            weight_decay=recipe.weight_decay,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate(recipe, step, epochs * per_epoch, per_epoch)
        )
        capped = recipe.pairs_per_item is not None or recipe.difference > 0
        self.network.train()
        done = 0
        for _ in range(epochs):
            for batch in loader:
                count = batch.num_graphs
                if count < 2:
                    continue
                batch = batch.to(device)
                optimizer.zero_grad()
                scores = self.network(batch)
                noise = torch.rand(1, count, count, device=device) if capped else None
                loss = supervised(recipe, scores[None], batch.y[None], noise)[0]
                loss.backward()
                if recipe.clip is not None:
                    nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
                optimizer.step()
                scheduler.step()
                done += 1
                if done == 1:
                    began()
        return done - 1

    @torch.no_grad()
    def predict(self) -> int:
        """Score the rows to predict; returns how many."""
        self.network.eval()
        scores = [
            self.network(batch.to(self.prepared.case.device)).cpu()
            for batch in DataLoader(self.tested, PREDICTION_BATCH)
        ]
        return len(torch.cat(scores))

    @torch.no_grad()
    def apart(self) -> float:
        """The largest difference of its scores from those of archrank's network with the same weights, as a share of
        the largest score."""
        job = self.prepared.job
        plain = job.graphs.plain()
        torch.manual_seed(job.members[0].seed)
        ours = job.network(plain[:2]).eval()
        theirs = PygNetwork(ours, job.space.cells).eval()
        rows = torch.as_tensor(self.prepared.rows)
        scores = torch.cat([theirs(batch) for batch in DataLoader(self.tested, PREDICTION_BATCH)])
        ours_scores = ours(plain[rows])[0]
        return float((ours_scores - scores).abs().max() / ours_scores.abs().max())
