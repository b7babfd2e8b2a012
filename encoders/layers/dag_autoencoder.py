"""D-VAE's network: a recurrence along the edges of a directed acyclic graph, and a decoder that adds node after
node."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.encoders.layers.gru import GRU

NOISE = 0.01  # the published scale of the sampling noise


class Messenger(nn.Module):
    """What a node of state h at position u tells its neighbours: sigmoid(gate[h; u]) * map[h; u], u one-hot, map
    unbiased."""

    def __init__(self, hidden: int, nodes: int) -> None:
        super().__init__()
        self.gate, self.map = nn.Linear(hidden + nodes, hidden), nn.Linear(hidden + nodes, hidden, bias=False)
        self.hidden = hidden

    def forward(self, state: Tensor, place: int) -> Tensor:
        """state [B, hidden] of the nodes at position `place` -> [B, hidden]."""
        column = self.hidden + place
        gate = state @ self.gate.weight[:, : self.hidden].T + self.gate.weight[:, column] + self.gate.bias
        message = state @ self.map.weight[:, : self.hidden].T + self.map.weight[:, column]
        return torch.sigmoid(gate) * message


class DagAutoencoder(nn.Module):
    """Variational autoencoder of directed acyclic graphs (Zhang et al. 2019), for all graphs of a batch at once.

    The recurrence visits positions, not graphs: position v of every graph is updated from the messages of its
    predecessors in one step. The decoder's steps are teacher-forced: the state in which it decides about edge u -> v
    holds the true edges from the nodes after u, so that all decisions about v are one batch of partial sums.
    """

    def __init__(self, ops: int, nodes: int, cells: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.ops, self.cells = ops, cells
        self.gru_forward, self.gru_backward, self.gru_decode = (GRU(ops, hidden) for _ in range(3))
        # The decoder's messages are the forward encoder's, as published.
        self.messages_forward, self.messages_backward = Messenger(hidden, nodes), Messenger(hidden, nodes)
        self.unify = nn.Linear(2 * cells * hidden, hidden)
        self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.start = nn.Linear(latent, hidden)
        self.add_node = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, ops))
        self.add_edge = nn.Sequential(nn.Linear(2 * hidden, 4 * hidden), nn.ReLU(), nn.Linear(4 * hidden, 1))

    def onehot(self, graphs: Graphs) -> Tensor:
        """Operations float [B, V, ops]."""
        return nn.functional.one_hot(graphs.ops, self.ops).to(self.mean.weight.dtype)

    def sweep(self, graphs: Graphs, gru: GRU, messenger: Messenger, backward: bool) -> Tensor:
        """States [B, V, hidden] after visiting positions in order, or against it along reversed edges."""
        half = gru.input_half(self.onehot(graphs))
        linked = (graphs.adj.transpose(-1, -2) if backward else graphs.adj).to(half.dtype)
        places = list(range(graphs.nodes))[:: -1 if backward else 1]
        states: list[Tensor] = []
        messages: list[Tensor] = []
        for step, v in enumerate(places):
            if step == 0:
                state = gru.first(half[:, v])
            else:
                heard = (linked[:, places[:step], v].unsqueeze(-1) * torch.stack(messages, 1)).sum(1)
                state = gru.step(half[:, v], heard)
            states.append(state)
            messages.append(messenger(state, v))
        return torch.stack(states[:: -1 if backward else 1], 1)

    def encode(self, graphs: Graphs) -> tuple[Tensor, Tensor]:
        """Mean and log variance of each graph, [B, latent] each.

        Read from the last node of each cell after the forward sweep and its nodes without predecessors after the
        backward one (where a cell has one input, as published, that is the first node).
        """
        down = self.sweep(graphs, self.gru_forward, self.messages_forward, backward=False)
        up = self.sweep(graphs, self.gru_backward, self.messages_backward, backward=True)
        place = torch.arange(graphs.nodes, device=graphs.device)
        parts = []
        for cell in range(self.cells):
            here = graphs.mask & (graphs.cell == cell)
            last = (place == (place * here).amax(-1, keepdim=True)) & here
            source = here & ~graphs.adj.any(-2)
            parts += [(down * last.unsqueeze(-1)).sum(-2), (up * source.unsqueeze(-1)).sum(-2)]
        state = self.unify(torch.cat(parts, -1))
        return self.mean(state), self.log_variance(state)

    def reconstruction(self, graphs: Graphs, z: Tensor) -> Tensor:
        """Minus the log-likelihood [B] of each graph under its code z [B, latent]: all nodes after the first, all
        edges."""
        half = self.gru_decode.input_half(self.onehot(graphs))
        linked = graphs.adj.to(half.dtype)
        state = self.gru_decode.step(half[:, 0], torch.tanh(self.start(z)))
        states, messages = [state], [self.messages_forward(state, 0)]
        total = torch.zeros(len(graphs), dtype=z.dtype, device=z.device)
        for v in range(1, graphs.nodes):
            cost = nn.functional.cross_entropy(self.add_node(states[-1]), graphs.ops[:, v], reduction="none")
            sent = linked[:, :v, v].unsqueeze(-1) * torch.stack(messages, 1)
            # heard[:, u]: the messages of the true predecessors at u or later; the decision about u comes before its
            # own.
            heard = sent.flip(1).cumsum(1).flip(1)
            partial = torch.cat([heard, torch.zeros_like(heard[:, :1])], 1)
            visited = self.gru_decode.step(half[:, v].unsqueeze(1), partial)
            pairs = torch.cat([torch.stack(states, 1), visited[:, 1:]], -1)
            logits = self.add_edge(pairs).squeeze(-1)
            cost = cost + nn.functional.binary_cross_entropy_with_logits(
                logits, linked[:, :v, v], reduction="none"
            ).sum(-1)
            total = total + cost * graphs.mask[:, v]
            states.append(visited[:, 0])
            messages.append(self.messages_forward(states[-1], v))
        return total

    def loss(self, graphs: Graphs, beta: float) -> Tensor:
        """Mean over graphs of reconstruction plus `beta` times the divergence from the prior, a scalar."""
        mean, log_variance = self.encode(graphs)
        z = mean + NOISE * (0.5 * log_variance).exp() * torch.randn_like(mean)
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(-1)
        return (self.reconstruction(graphs, z) + beta * divergence).mean()
