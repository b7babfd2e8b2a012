"""FlowerFormer as a user of torch-geometric writes it: for every batch, a Python loop over the topological generations.

So does its official code (y0ngjaenius/CVPR2024_FLOWERFormer, read for how it works). Here the parameters that no output
depends on are left out and generations are counted when the graphs are made, so this form is somewhat faster than that
code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing, global_mean_pool
from torch_geometric.utils import softmax

from archrank.datasets.errors import ArchrankError
from archrank.encoders.flow.flowerformer import FlowerFormer
from archrank.eval.bench.pyg_networks import linear, norm


class AttentiveSum(MessagePassing):  # type: ignore[misc]  # the library is untyped
    """What a node hears: its senders' states, weighted by a softmax over a score of each."""

    def __init__(self, key: Tensor) -> None:
        super().__init__(aggr="add")
        self.key = nn.Parameter(key.detach().clone())

    def forward(self, states: Tensor, edges: Tensor) -> Tensor:
        """states [n, d], edges int64 [2, E] -> [n, d]."""
        return self.propagate(edges, states=states)

    def message(self, states_j: Tensor, index: Tensor, size_i: int | None) -> Tensor:
        """[E, d]."""
        return softmax(states_j @ self.key, index, num_nodes=size_i).unsqueeze(-1) * states_j


class GenerationSweep(nn.Module):
    """One direction: generation after generation, every node's state is a GRU of its feature and of what it hears."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.hear = AttentiveSum(ours.key)
        self.gru = nn.GRUCell(ours.gru.weight_ih.shape[1], ours.gru.weight_hh.shape[1])
        self.gru.load_state_dict(ours.gru.state_dict())

    def forward(self, x: Tensor, edges: Tensor, generation: Tensor) -> Tensor:
        """x [n, d], edges int64 [2, E] and the step int64 [E] in which each is used (0, 1, ...) -> states [n, d]."""
        silent = torch.ones(len(x), dtype=torch.bool, device=x.device)
        silent[edges[1]] = False
        states = torch.zeros_like(x)
        states[silent] = self.gru(x[silent])
        for step in range(int(generation.max()) + 1 if len(generation) else 0):
            now = edges[:, generation == step]
            heard = self.hear(states, now)
            listens = torch.zeros_like(silent)
            listens[now[1]] = True
            states[listens] = self.gru(x[listens], heard[listens])
        return states


class PathAttention(MessagePassing):  # type: ignore[misc]
    """Multi-head attention along given pairs of nodes."""

    def __init__(self, ours: Any) -> None:
        super().__init__(aggr="add", node_dim=0)
        self.heads = ours.heads
        self.key_query, self.value, self.out = linear(ours.key_query), linear(ours.value), linear(ours.out)
        self.drop = nn.Dropout(ours.drop.p)

    def forward(self, x: Tensor, pairs: Tensor) -> Tensor:
        """x [n, d], pairs int64 [2, P] -> [n, d]."""
        sender, receiver, value = (
            y.view(len(x), self.heads, -1) for y in (*self.key_query(x).chunk(2, -1), self.value(x))
        )
        return self.out(self.propagate(pairs, sender=sender, receiver=receiver, value=value).flatten(1))

    def message(
        self, sender_j: Tensor, receiver_i: Tensor, value_j: Tensor, index: Tensor, size_i: int | None
    ) -> Tensor:
        """[P, heads, d / heads]."""
        scores = (receiver_i * sender_j).sum(-1) / math.sqrt(sender_j.shape[-1])
        return self.drop(softmax(scores, index, num_nodes=size_i)).unsqueeze(-1) * value_j


class FlowLayer(nn.Module):
    """Both sweeps beside the attention, then a feed-forward block."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.down, self.up, self.attend = GenerationSweep(ours.down), GenerationSweep(ours.up), PathAttention(ours)
        self.norm_flow, self.norm_attention, self.norm_out = (
            norm(n) for n in (ours.norm_flow, ours.norm_attention, ours.norm_out)
        )
        self.wide, self.narrow = linear(ours.wide), linear(ours.narrow)

    def forward(self, x: Tensor, data: Any) -> Tensor:
        """[n, d] -> [n, d]."""
        states = self.down(x, data.edge_index, data.down)
        states = torch.relu(self.up(states, data.edge_index.flip(0), data.up))
        both = self.norm_flow(x + states) + self.norm_attention(x + self.attend(x, data.pair_index))
        return self.norm_out(both + self.narrow(torch.relu(self.wide(both))))


class PygFlowerFormer(nn.Module):
    """FlowerFormer for one-cell spaces (mask mode `paper`: each node is updated once, from all its neighbours)."""

    def __init__(self, ours: FlowerFormer) -> None:
        super().__init__()
        if ours.cells > 1 or ours.mask_mode != "paper" or ours.edge is not None:
            raise ArchrankError(
                "flowerformer with two cells, another mask mode or faithful=true has no torch-geometric form"
            )
        self.embed, self.norm = linear(ours.embed), norm(ours.norm)
        self.layers = nn.ModuleList(FlowLayer(layer) for layer in ours.layers)

    @staticmethod
    def transform(data: Data) -> Data:
        """The steps in which a sweep uses each edge, and the pairs of nodes on one directed path, in both
        directions."""
        source, target = data.edge_index
        adj = torch.zeros(data.num_nodes, data.num_nodes)
        adj[source, target] = 1
        depth = torch.zeros(data.num_nodes, dtype=torch.long)
        reach, walk = adj > 0, adj
        for length in range(1, data.num_nodes):
            depth[walk.sum(0) > 0] = length
            reach |= walk > 0
            walk = ((walk @ adj) > 0).float()
        # Forward, all edges into one generation belong to one step; backward, all that leave one.
        data.down, data.up = depth[target] - 1, depth[source].max() - depth[source] if len(source) else depth[source]
        data.pair_index = (reach | reach.T).nonzero().T.contiguous()
        return data

    def forward(self, data: Any) -> Tensor:
        """[B, dim]."""
        x = nn.functional.normalize(torch.relu(self.norm(self.embed(data.x))), dim=-1)
        for layer in self.layers:
            x = layer(x, data)
        return global_mean_pool(x, data.batch)
