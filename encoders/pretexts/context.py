"""CAP's pretext: which surroundings belong to a node."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.norm import MaskedBatchNorm
from archrank.encoders.pretexts import pretext
from archrank.encoders.pretexts.regression import states_width


@pretext("context", states=True)
class Context(nn.Module):
    """CAP's objective: tell a node's own surroundings from those of another architecture's node.

    Source: Ji et al., "CAP: A Context-Aware Neural Predictor for NAS", IJCAI 2024 (jihan4431/CAP, 18f3e23), after Hu et
    al., ICLR 2020. The encoder reads the part of an architecture within one edge of a root; a second network, CAP's of
    `layers` graph isomorphism layers, reads the nodes one to `radius` edges away. The products of the root's state with
    the second network's states of the root's neighbours are the log-odds that the two belong together; negative
    examples take the root of the next architecture in the batch.

    radius: published 2. layers: of the second network, published 2. dropout: in it, published 0.5.

    Departures: roots are drawn anew in every batch (there once); the edges of both parts keep their directions for
    encoders that see them (there the first part is undirected in pre-training and directed afterwards).
    """

    def __init__(
        self,
        encoder: nn.Module,
        graphs: Graphs,
        space: SearchSpace,
        *,
        radius: int = 2,
        layers: int = 2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.radius = radius
        dim = states_width(encoder, graphs)
        self.surroundings = Isomorphism(len(space.ops), dim, layers, dropout)

    def forward(self, encoder: nn.Module, graphs: Graphs, done: float) -> Tensor:
        """The loss of a batch [B], a scalar."""
        linked = graphs.adj | graphs.adj.transpose(-1, -2)
        root = torch.where(graphs.mask, torch.rand(graphs.mask.shape, device=graphs.device), -1.0).argmax(-1)
        rows = torch.arange(len(graphs), device=graphs.device)
        near = linked[rows, root]
        itself = nn.functional.one_hot(root, graphs.nodes).bool()
        around = near
        for _ in range(self.radius - 1):
            around = around | (around.unsqueeze(-1) & linked).any(-2)
        around = around & ~itself & graphs.mask
        own = encoder.states(part(graphs, near | itself))[rows, root]  # type: ignore[operator]
        outside = part(graphs, around)
        wide = self.surroundings(outside.ops, linked & around[:, :, None] & around[:, None, :], outside.mask)
        return context_loss(own, wide, near & graphs.mask)


class Isomorphism(nn.Module):
    """CAP's network: operation embeddings through graph isomorphism layers with self-loops, normalised, without a
    ReLU after the last.

    ops: operations. dim: of states. layers: each a perceptron dim > 2 dim > dim. dropout: after every layer.
    """

    def __init__(self, ops: int, dim: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(ops, dim)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim)) for _ in range(layers)
        )
        self.norms = nn.ModuleList(MaskedBatchNorm(dim) for _ in range(layers))
        self.drop = Dropout(dropout)

    def forward(self, ops: Tensor, linked: Tensor, mask: Tensor) -> Tensor:
        """Operations int64 [B, V], receiver by sender bool [B, V, V], real nodes bool [B, V] -> states [B, V, dim]."""
        x = self.embed(ops)
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms), 1):
            x = norm(layer(x + linked.to(x.dtype) @ (x * mask.unsqueeze(-1))), mask)
            x = self.drop(x if number == len(self.layers) else torch.relu(x))
        return x


def context_loss(own: Tensor, wide: Tensor, near: Tensor) -> Tensor:
    """Mean cross-entropy of telling a root's surroundings from another's, of true and of false pairs.

    own: states of the roots [B, d]. wide: states of the surroundings [B, V, d]. near: the roots' neighbours, bool
    [B, V].
    """
    total = near.sum().clamp(min=1)
    loss = own.new_zeros(())
    for state, sign in ((own, 1.0), (own.roll(-1, 0), -1.0)):
        odds = (wide * state.unsqueeze(-2)).sum(-1)
        loss = loss + (nn.functional.softplus(-sign * odds) * near).sum() / total
    return loss


def part(graphs: Graphs, where: Tensor) -> Graphs:
    """Graphs [B] of the nodes `where`, bool [B, V], and the edges between them; other nodes become padding."""
    mask = graphs.mask & where
    adj = graphs.adj & mask[:, :, None] & mask[:, None, :]
    attrs = None if graphs.attrs is None else graphs.attrs * mask.unsqueeze(-1)
    return Graphs(graphs.ops * mask, adj, mask, graphs.cell * mask, attrs)
