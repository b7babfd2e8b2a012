"""TART: a transformer over the operations of an architecture, without its edges."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.attention import FeedForward, absent, attend, split_heads
from archrank.encoders.registry import encoder

POSITIONS = 600


@encoder("tart", family="token sequence")
class Tart(nn.Module):
    """One token per node, its operation and nothing else, through a transformer; the mean output is the embedding.

    Source: "TART: Token-based Architecture Transformer for Neural Network Performance Prediction", arXiv 2501.02007,
    as far as it is public: one code file that fits its abstract, built on TokenGT's encoder (jw9730/tokengt). That the
    file is TART's is our inference. It sees no edges, positions, or shapes: what can reach it is the multiset of
    operations (`bag_of_ops` is that multiset written out, and the baseline it has to beat). Invariant to the order of
    nodes and to every edge.

    Shapes: graphs [B, V] -> [B, dim]. In two-cell spaces a token is an operation in its cell, and both cells make one
    sequence. Heads are as wide as asked (`key_dim`, `value_dim` are per head, as in TokenGT).

    Parameters at the published size (dim 256, 13 layers, 16 heads of 256, 15 operations) with its head: 56,549,376.
    The default (dim 64, 3 layers, 4 heads of 16) is not the published size: it has 84,480 parameters on NAS-Bench-101,
    so that a predictor trains in minutes on two cores.

    faithful: the form as found. Every architecture is zero-padded to `positions` (600) tokens that are not masked: they
    take part in the attention and in the mean, so the output depends on how many there are, that is, on the size of
    the graph. Padding tokens are all alike, so they are computed once and counted `positions` - n times: the same
    numbers at the cost of one token. Architectures of more than `positions` nodes are refused in this form.

    The default form, `faithful` and `bag_of_ops` are told the same: with padding masked, attention and mean depend on
    the shares of the operations, which fix their numbers where all architectures have equally many input nodes; with
    600 positions, and in the bag, on the numbers themselves. There, none of the three can tell apart what another
    cannot, and where they rank differently it is the network, not what it sees. By how much, with its interval:
    `archrank run -e "tart,tart[faithful=true],bag_of_ops" --seeds 10`, then `archrank compare tart bag_of_ops`.

    Departures in the default: padding is masked and the mean is over real nodes. Not reproduced: the file's
    `converge_time` run, which trains on the labels of `val_acc`, and its dropping of each epoch's last partial batch.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 64,
        layers: int = 3,
        heads: int = 4,
        key_dim: int = 16,
        value_dim: int = 16,
        hidden: int = 64,
        positions: int = POSITIONS,
        faithful: bool = False,
    ) -> None:
        super().__init__()
        if faithful and space.max_nodes > positions:
            raise ArchrankError(
                f"tart: space '{space.name}' has architectures of {space.max_nodes} nodes, but "
                f"faithful=True holds {positions}; raise `positions` or leave faithful off"
            )
        self.ops, self.tokens = len(space.ops), len(space.ops) * space.cells
        self.positions, self.faithful = positions, faithful
        self.embed, self.start = nn.Linear(self.tokens, dim), nn.Linear(dim, dim)
        self.layers = nn.ModuleList(Layer(dim, heads, key_dim, value_dim, hidden) for _ in range(layers))
        self.norm, self.out = nn.LayerNorm(dim), nn.Linear(dim, dim)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The size found: 56.5 million parameters."""
        return {"dim": 256, "layers": 13, "heads": 16, "key_dim": 256, "value_dim": 256, "hidden": 256}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """The training found: squared error on raw labels, Adam with L2, cosine over 300 epochs, batches of 40."""
        return {
            "loss": "mse",
            "labels": "raw",
            "optimizer": "adam",
            "lr": 1e-4,
            "weight_decay": 1e-3,
            "epochs": 300,
            "batch": 40,
            "schedule": "cosine",
            "schedule_per": "epoch",
            "head": {"bias": False},
        }

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, dim]."""
        kind = self.embed.weight.dtype
        tokens = nn.functional.one_hot(graphs.ops + self.ops * graphs.cell, self.tokens) * graphs.mask.unsqueeze(-1)
        tokens = tokens.to(kind)
        if self.faithful:
            tokens = torch.cat([tokens, torch.zeros_like(tokens[..., :1, :])], -2)
            count = graphs.derive(f"tart/{self.positions}", self._multiplicity).to(kind)
            offset = (count.clamp(min=1).log() + absent(count > 0, kind)).unsqueeze(-2)
        else:
            count = graphs.mask.to(kind)
            offset = absent(graphs.mask, kind).unsqueeze(-2)
        x = self.start(self.embed(tokens))
        for layer in self.layers:
            x = layer(x, offset)
        x = self.out(self.norm(x))
        return (x * count.unsqueeze(-1)).sum(-2) / count.sum(-1, keepdim=True)

    def _multiplicity(self, graphs: Graphs) -> Tensor:
        """float [B, V + 1]: how many positions each token stands for: 1 for a node, the rest for the padding token."""
        return torch.cat([graphs.mask.float(), self.positions - graphs.mask.sum(-1, keepdim=True).float()], -1)


class Layer(nn.Module):
    """A pre-norm block whose heads have a width of their own; one projection makes queries, then keys."""

    def __init__(self, dim: int, heads: int, key_dim: int, value_dim: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.query_key, self.value = nn.Linear(dim, 2 * heads * key_dim), nn.Linear(dim, heads * value_dim)
        self.out = nn.Linear(heads * value_dim, dim)
        self.feed = FeedForward(dim, hidden, activation="gelu")

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        """x [B, L, dim], offset [B, 1, L] added to the scores -> [B, L, dim]."""
        y = self.norm(x)
        query, key = self.query_key(y).chunk(2, -1)
        query, key, value = (split_heads(part, self.heads) for part in (query, key, self.value(y)))
        done: Tensor = self.feed(x + self.out(attend(query, key, value, offset=offset)))
        return done
